"""Specification of healing by a linear map: the best one, in the weight before the removed run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import depthprune as dp
from depthprune.base.errors import DepthpruneError, ModelError, RemovalError
from depthprune.blocks.models import load_model
from depthprune.healing import Positions
from depthprune.healing.linear import RIDGE, fit, last_weight, runs_of
from depthprune.importance.proxies.calibration import Calibration
from depthprune.tasks.demo import MODEL_PATH
from depthprune.testing import tiny_models as tiny

TASKS = ("demo_okvqa", "demo_doc_qa", "demo_coco_caption")


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    loaded = load_model(str(MODEL_PATH), dtype="float32", device="cpu")
    (split,) = dp.load_tasks("demo_coco_caption", split="train", num_samples=40)
    return Calibration(loaded, split)


def states(calibration: Calibration, block: int, last: int) -> list[np.ndarray[Any, Any]]:
    """Return what the MLP of a block adds, its output and that of another block, token by token."""
    rows: list[list[np.ndarray[Any, Any]]] = [[], [], []]

    def read(inputs: dict[str, Any], found: Any) -> None:
        kept: dict[str, torch.Tensor] = {}
        blocks = calibration.blocks

        def keep(name: str) -> Any:
            return lambda module, args, out: kept.update(
                {name: (out[0] if isinstance(out, tuple) else out).detach().clone()}
            )

        hooks = [
            blocks[block].mlp.down_proj.register_forward_hook(keep("added")),
            blocks[block].register_forward_hook(keep("output")),
            blocks[last].register_forward_hook(keep("wanted")),
        ]
        with torch.no_grad():
            calibration.model(**inputs)
        for hook in hooks:
            hook.remove()
        fitted = torch.tensor([row.index % 5 != 0 for row in found])[:, None]
        mask = inputs["attention_mask"].bool() & fitted
        for place, name in enumerate(("added", "output", "wanted")):
            rows[place].append(kept[name][mask].double().numpy())

    calibration.read(read)
    return [np.concatenate(one) for one in rows]


def test_the_map_is_the_least_squares_solution_over_all_tokens(calibration: Calibration) -> None:
    (found,) = fit([calibration], (9,), "all")
    added, output, wanted = states(calibration, 8, 9)
    ridge = RIDGE * (added**2).sum(0).mean()
    stacked = np.vstack([added, np.sqrt(ridge) * np.eye(added.shape[1])])
    target = np.vstack([wanted - output, np.zeros_like(added[: added.shape[1]])])
    slow = np.linalg.lstsq(stacked, target, rcond=None)[0]
    weight = calibration.blocks[8].mlp.down_proj.weight.detach().double().numpy()
    expected = (np.eye(len(slow)) + slow).T @ weight
    np.testing.assert_allclose(found.values["mlp.down_proj.weight"].numpy(), expected, atol=1e-4)
    assert (found.block, found.num_tokens) == (8, len(added))


def test_one_pass_serves_all_runs_and_a_run_may_be_long(calibration: Calibration) -> None:
    several = fit([calibration], (3, 5, 6, 9), "all")
    assert [(one.block, one.run) for one in several] == [(2, (3,)), (4, (5, 6)), (8, (9,))]
    (alone,) = fit([calibration], (9,), "all")
    assert torch.equal(
        several[2].values["mlp.down_proj.weight"], alone.values["mlp.down_proj.weight"]
    )


def test_the_positions_are_those_that_leave_less_on_samples_held_out(
    calibration: Calibration,
) -> None:
    (chosen,) = fit([calibration], (9,))
    both: tuple[Positions, ...] = ("all", "answers")
    errors = {kind: fit([calibration], (9,), kind)[0].error for kind in both}
    assert errors[chosen.positions] == min(errors.values())  # type: ignore[index]
    assert chosen.error == pytest.approx(min(errors.values()))
    assert chosen.error < 1


def test_the_checkpoint_differs_in_these_weights_alone(tmp_path: Path) -> None:
    (split,) = dp.load_tasks("demo_coco_caption", split="train", num_samples=40)
    dp.cut("demo", (5, 9), tmp_path / "plain", progress=False)
    dp.cut(
        "demo",
        (5, 9),
        tmp_path / "healed",
        heal=dp.LinearMap(),
        calibration=[split],
        progress=False,
    )
    plain, healed = (
        load_file(tmp_path / name / "model.safetensors") for name in ("plain", "healed")
    )
    changed = [name for name in plain if not torch.equal(plain[name], healed[name])]
    assert [name.partition("layers.")[2] for name in sorted(changed)] == [
        "4.mlp.down_proj.weight",
        "7.mlp.down_proj.weight",  # 8 in the whole model
    ]
    record = json.loads((tmp_path / "healed" / "depthprune.json").read_text())
    assert record["healed"][0].startswith(
        "block 5: a linear map in mlp.down_proj.weight of block 4"
    )
    assert "--heal linear" in record["command"]
    assert "a linear map" in (tmp_path / "healed" / "README.md").read_text()
    dp.load_model(tmp_path / "healed")


def test_runs_are_neighbours_and_block_0_is_refused() -> None:
    assert runs_of((2, 3, 5, 8, 9)) == [(2, 3), (5,), (8, 9)]
    with pytest.raises(RemovalError, match="block 0 is removed"):
        runs_of((0, 4))


def test_too_few_tokens_are_refused(calibration: Calibration) -> None:
    (split,) = dp.load_tasks("demo_okvqa", split="train", num_samples=6)
    few = Calibration(load_model(str(MODEL_PATH), dtype="float32", device="cpu"), split)
    with pytest.raises(DepthpruneError, match="too few for a linear map of hidden size 96"):
        fit([few], (9,), "answers")


class Normed(torch.nn.Module):
    """A weight whose result passes through something else."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.down_proj = inner

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return 0.5 * self.down_proj(hidden)


def test_a_norm_or_a_factor_behind_the_mlp_is_refused() -> None:
    loaded = load_model(str(MODEL_PATH), dtype="float32", device="cpu")
    (split,) = dp.load_tasks("demo_coco_caption", split="train", num_samples=20)
    calibration = Calibration(loaded, split)
    mlp = calibration.blocks[8].mlp
    mlp.down_proj = Normed(mlp.down_proj)
    with pytest.raises(ModelError, match="passes through a norm or something else"):
        fit([calibration], (9,), "all")


def test_experts_are_refused() -> None:
    block = torch.nn.Module()
    block.experts = torch.nn.ModuleList([torch.nn.Module(), torch.nn.Module()])  # type: ignore[assignment]
    for expert in block.experts:  # type: ignore[union-attr]
        expert.down_proj = torch.nn.Linear(4, 4)
    with pytest.raises(ModelError, match="2 weights that could be the last of its MLP"):
        last_weight(block, 3)
    model: Any = tiny.gpt2()
    name, module = last_weight(model.transformer.h[0], 0)
    assert (name, type(module).__name__) == ("mlp.c_proj", "Conv1D")


def test_what_is_healed_is_not_compared_with_skipping(tmp_path: Path) -> None:
    with pytest.raises(DepthpruneError, match="nothing to compare"):
        dp.cut(MODEL_PATH, (9,), tmp_path / "x", heal=dp.LinearMap(tasks=TASKS), verify=True)
    assert not (tmp_path / "x").exists()
