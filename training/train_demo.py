"""Train the demo model from nothing: `python training/train_demo.py --output FOLDER`.

Five stages (see stages.py), each kept in the work folder when it is finished and every few minutes
before: run the same command again and it goes on where it stopped, to the same weights.
"""

from __future__ import annotations

import os

# Waiting threads sleep instead of spinning, for cores that are shared; read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from architecture import build_processor  # noqa: E402
from batches import HARDEST, Encoder, collate, draw_batch  # noqa: E402
from depthprune.tasks.demo.drawing import KINDS, draw  # noqa: E402
from muon import Muon  # noqa: E402
from network import CLASSES, Network  # noqa: E402
from stages import STAGES, Stage, fingerprint  # noqa: E402

SAVE_EVERY = 500
REPORT_EVERY = 250


def main() -> None:
    """Train what is not trained yet, export the weights and measure them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "training")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=int, default=500, help="per dataset, when measuring")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    processor = build_processor()
    weights: dict[str, torch.Tensor] = {}
    for number, stage in enumerate(STAGES):
        name = f"{number}-{stage.name}-{fingerprint(STAGES[: number + 1], options.seed)}.pt"
        path = options.work / name
        if path.exists():
            print(f"{stage.name}: finished before, {path}", flush=True)
            weights = torch.load(path)
        else:
            weights = train(stage, number, weights, options.seed, processor, path)
    from export import export

    export(weights, STAGES[-1].blocks, processor, options.output)
    from measure import measure

    measure(options.output, options.samples, ROOT / "training" / "RESULTS.md")


def start(
    stage: Stage, number: int, before: dict[str, torch.Tensor], seed: int, processor: Any
) -> Network:
    """Build a stage's network from the weights of the stage before it."""
    torch.manual_seed(seed * 1000 + number)
    network = Network(processor, Encoder(processor.tokenizer), stage.blocks)
    if stage.start == "vision":
        network.adopt_vision(before)
        pictures = draw_batch(np.random.default_rng([seed, number, 0, 1]), 64, stage.weights)
        network.balance_projector(collate(pictures, network.encode).pixels)
    elif stage.start == "grow":
        network.adopt(before, stage.sources, stage.shares)
    elif stage.start == "all":
        network.load_state_dict(before)
        if stage.evened:
            network.even_out(stage.evened, stage.evenness)
    return network


def make_optimizers(network: Network, stage: Stage) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of both towers, Adam for everything else."""
    vision, text, other = [], [], []
    for name, parameter in network.named_parameters():
        words = ("embed", "lm_head", "position", "projector", "cell_head")
        if parameter.ndim != 2 or any(word in name for word in words):
            other.append(parameter)
        else:
            (vision if "vision_tower" in name else text).append(parameter)
    adam = torch.optim.AdamW(other, stage.adam_rate, betas=(0.9, 0.95), weight_decay=0.01)
    optimizers = [
        Muon(text, stage.rate, decay=stage.matrix_decay),
        Muon(vision, stage.rate * stage.vision_share),
        adam,
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_rate"] = group["lr"]
    return optimizers


def train(
    stage: Stage,
    number: int,
    before: dict[str, torch.Tensor],
    seed: int,
    processor: Any,
    path: Path,
) -> dict[str, torch.Tensor]:
    """Train one stage and keep its weights at `path`."""
    network = start(stage, number, before, seed, processor)
    optimizers = make_optimizers(network, stage)
    partial = path.with_name(f"{number}-{stage.name}.partial")
    first = resume(partial, stage, network, optimizers)
    print(f"{stage.name}: {stage.steps} steps of {stage.batch} pictures, from {first}", flush=True)
    begun, processor_begun, mean_loss = time.time(), time.process_time(), 0.0
    for step in range(first, stage.steps):
        rng = np.random.default_rng([seed, number, step, 0])
        factor = stage.rate_at(step)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["full_rate"] * factor
        loss = train_step(network, stage, step, rng)
        torch.nn.utils.clip_grad_norm_(optimizers[-1].param_groups[0]["params"], 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        mean_loss += (loss - mean_loss) / min(step - first + 1, 100)
        done = step + 1
        if done % SAVE_EVERY == 0 and done < stage.steps:
            save_partial(partial, stage, done, network, optimizers)
        if done % REPORT_EVERY == 0 or done == stage.steps:
            speed = (done - first) * stage.batch / (time.time() - begun)
            print(
                f"{stage.name} {done} loss {mean_loss:.3f} rate {factor:.2f} {speed:.0f}/s "
                f"{time.time() - begun:.0f} s (CPU {time.process_time() - processor_begun:.0f} s) "
                f"{check(network, stage.answers)}",
                flush=True,
            )
    weights = {key: value.detach().clone() for key, value in network.state_dict().items()}
    torch.save(weights, path)
    partial.unlink(missing_ok=True)
    return weights


def train_step(network: Network, stage: Stage, step: int, rng: np.random.Generator) -> float:
    """Draw a batch and take gradients; returns the answer loss (the cell loss before answers)."""
    pictures = draw_batch(rng, stage.batch, stage.weights)
    batch = collate(pictures, network.encode)
    if not stage.answers:
        loss = network.cell_loss(network.see(batch.pixels), batch.labels)
        loss.backward()
        return loss.item()
    dropped = (rng.random(stage.blocks) < stage.layerdrop).nonzero()[0]
    losses = network(batch, frozenset(dropped.tolist()) - {0})
    total = losses.answer + stage.cells * losses.cells + stage.alignment * losses.alignment
    if stage.roles:
        total = total + role_loss(network, stage, step, rng)
    total.backward()
    return losses.answer.item()


def role_loss(network: Network, stage: Stage, step: int, rng: np.random.Generator) -> torch.Tensor:
    """How far one block (they take turns) is from being needed for the pictures of its role."""
    block = sorted(stage.roles)[step % len(stage.roles)]
    kind, wanted = stage.roles[block]
    others = dict.fromkeys(KINDS, 0.0)
    batch = collate(draw_batch(rng, stage.role_batch, others | {kind: 1.0}), network.encode)
    return torch.relu(wanted - network(batch, frozenset({block})).answer)


def save_partial(
    path: Path, stage: Stage, step: int, network: Network, optimizers: list[Any]
) -> None:
    """Keep an unfinished stage, all or nothing."""
    content = {
        "stage": dataclasses.asdict(stage),
        "step": step,
        "network": network.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }
    torch.save(content, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def resume(path: Path, stage: Stage, network: Network, optimizers: list[Any]) -> int:
    """Load an unfinished stage and return its next step, 0 if there is none that fits.

    A stage may have been made longer or shorter meanwhile, as long as its rate was still constant:
    then the steps behind it are those of the new schedule too.
    """
    if not path.exists():
        return 0
    content = torch.load(path)
    kept, wanted = content["stage"], dataclasses.asdict(stage)
    differing = {key for key in kept.keys() | wanted.keys() if kept.get(key) != wanted.get(key)}
    kept_decay_start = int(kept["steps"] * (1 - kept["decay"]))
    constant = content["step"] <= min(kept_decay_start, stage.decay_start)
    if differing and not (differing <= {"steps", "decay"} and constant):
        print(f"{stage.name}: {path} is of other settings, starting afresh", flush=True)
        return 0
    network.load_state_dict(content["network"])
    for optimizer, state in zip(optimizers, content["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    return int(content["step"])


@torch.no_grad()
def check(network: Network, answers: bool, size: int = 60) -> str:
    """Percent right per kind of picture at a middling level (first question, teacher forced)."""
    results = []
    for number, kind in enumerate(KINDS):
        level = 0.5 * HARDEST[kind]
        seeds = ([9, 9, number, index] for index in range(size))
        pictures = [draw(kind, np.random.default_rng(seed), level) for seed in seeds]
        batch = collate(pictures, network.encode, first_only=True)
        if answers:
            losses = network(batch)
            wrong = torch.zeros(size)
            wrong.index_add_(0, losses.rows, (losses.logits.argmax(-1) != losses.wanted).float())
            right = (wrong == 0).float().mean()
        else:
            read = network.cell_head(network.see(batch.pixels)).split(CLASSES, -1)
            guessed = torch.stack([part.argmax(-1) for part in read], 1)
            right = (guessed == batch.labels)[batch.labels > 0].float().mean()
        results.append(f"{kind[:6]} {100 * right:.0f}")
    return " ".join(results)


if __name__ == "__main__":
    main()
