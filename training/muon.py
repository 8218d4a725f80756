"""Muon: momentum whose updates are made orthogonal (Jordan et al., 2024), for weight matrices."""

from __future__ import annotations

from collections.abc import Iterable

import torch


def orthogonalize(matrices: torch.Tensor, rounds: int = 5) -> torch.Tensor:
    """Drive all singular values of (n, rows, columns) towards 1 by a Newton-Schulz iteration."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(rounds):
        y = x @ x.mT
        x = 3.4445 * x + (-4.7750 * y + 2.0315 * y @ y) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay; matrices of one shape go at once."""

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        rate: float,
        momentum: float = 0.95,
        decay: float = 0.3,
    ) -> None:
        super().__init__(parameters, {"lr": rate, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Take one step along the orthogonalized momentum."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "buffer" not in state:
                    state["buffer"] = torch.zeros_like(parameter)
                state["buffer"].mul_(group["momentum"]).add_(parameter.grad)
                by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                ahead = [p.grad + group["momentum"] * self.state[p]["buffer"] for p in parameters]
                updates = orthogonalize(torch.stack(ahead))
                rate = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-rate)
