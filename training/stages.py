"""The stages of the demo's training: all numbers that matter, in one place."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field

#: Counting and multiple choice are learned last: they get more than their share.
WEIGHTS = {
    "know_vqa": 0.6,
    "scene_text": 1.2,
    "attr_vqa": 1.4,
    "count": 2.0,
    "mcq": 2.2,
}

#: For the deep network: what the small one cannot do yet, telling several things apart.
LATE_WEIGHTS = {
    "attr_vqa": 2.2,
    "know_vqa": 0.5,
    "sign_vqa": 1.6,
    "doc_vqa": 0.8,
    "scene_text": 0.9,
    "count": 2.2,
}


@dataclass(frozen=True)
class Stage:
    """One stage: how large the network is, what it starts from and how long it is trained."""

    name: str
    steps: int
    batch: int
    blocks: int
    #: What it takes over: "nothing", "vision" (that tower), "grow" (all, each block
    #: as some copies: `sources` are the old blocks of the new ones, `shares` their parts of it).
    start: str
    sources: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    #: "all" takes over all; before that these blocks are drawn so far towards their mean.
    evened: tuple[int, ...] = ()
    evenness: float = 0.0
    #: Work of their own: without such a block, pictures of this kind shall cost at least this loss.
    roles: dict[int, tuple[str, float]] = field(default_factory=dict)
    role_batch: int = 12
    answers: bool = True
    rate: float = 0.01
    vision_share: float = 0.3
    adam_rate: float = 0.0015
    matrix_decay: float = 0.3
    cells: float = 0.05
    alignment: float = 0.15
    layerdrop: float = 0.0
    #: The share of the steps over which the learning rate goes down, at the end.
    decay: float = 0.35
    weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS))

    def rate_at(self, step: int) -> float:
        """The factor on the learning rates: warm up for 30 steps, hold, then decay linearly."""
        warm = min(1.0, (step + 1) / 30)
        left = 1 - step / self.steps
        return warm * (1.0 if left > self.decay else max(0.02, left / self.decay))

    @property
    def decay_start(self) -> int:
        """The first step with a lowered rate."""
        return int(self.steps * (1 - self.decay))


STAGES = (
    Stage(
        "vision",
        steps=900,
        batch=64,
        blocks=1,
        start="nothing",
        answers=False,
        cells=1.0,
        vision_share=1.0,
        weights={"know_vqa": 1.5, "scene_text": 2.0, "doc_vqa": 1.5},
    ),
    Stage(
        "small",
        steps=7000,
        batch=24,
        blocks=6,
        start="vision",
        cells=0.2,
        alignment=0.3,
        decay=0.15,
    ),
    Stage(
        "grown",
        steps=3600,
        batch=24,
        blocks=16,
        start="grow",
        sources=(0, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 5),
        # Many copies of what costs much, few of what costs little, and uneven: so that some
        # blocks matter more than others and few not at all.
        shares=(
            *(1.0,),
            *(0.30, 0.24, 0.18, 0.15, 0.13),
            *(0.60, 0.25, 0.15),
            *(0.75, 0.25),
            *(0.85, 0.15),
            *(0.23, 0.62, 0.15),
        ),
        rate=0.004,
        decay=0.8,
        # Strong weight decay would let the small shares die out.
        matrix_decay=0.02,
        weights=LATE_WEIGHTS,
    ),
    Stage(
        "evened",
        steps=800,
        batch=24,
        blocks=16,
        start="all",
        # The largest of these copies had come to do nearly all of their common work.
        evened=(1, 2, 3, 4, 5),
        evenness=0.75,
        rate=0.0025,
        decay=1.0,
        matrix_decay=0.02,
        weights=LATE_WEIGHTS,
    ),
    Stage(
        "roles",
        steps=600,
        batch=24,
        blocks=16,
        start="all",
        # Blocks that could all go for nothing: copies that never found work of their own.
        roles={
            3: ("attr_vqa", 0.5),
            5: ("scene_text", 0.5),
            8: ("doc_vqa", 0.45),
            10: ("count", 0.35),
            12: ("sign_vqa", 0.4),
        },
        rate=0.0025,
        decay=0.9,
        matrix_decay=0.02,
        weights=LATE_WEIGHTS,
    ),
)


def fingerprint(stages: tuple[Stage, ...], seed: int) -> str:
    """A short name for everything that a finished chain of stages depends on."""
    content = [seed, *(dataclasses.asdict(stage) for stage in stages)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
