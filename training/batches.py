"""From pictures with questions to tensors: all questions of a picture share its one prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from depthprune.tasks.demo.drawing import GRID, KINDS, Drawing, draw

#: `<s><|user|>` and the picture stand before every question.
PREFIX = 2 + GRID * GRID
IGNORED = -100

#: The hardest level each kind is trained on: there, about half of it can no longer be made out.
HARDEST = {
    "attr_vqa": 0.6,
    "know_vqa": 0.9,
    "sign_vqa": 0.7,
    "caption": 0.6,
    "mcq": 0.7,
    "doc_vqa": 0.8,
    "scene_text": 0.45,
    "count": 0.5,
}


@dataclass
class Batch:
    """Pictures (B, 3, 48, 48), labels (B, 4, 36), tokens after the prefix and who may see whom."""

    pixels: torch.Tensor
    labels: torch.Tensor
    tokens: torch.Tensor
    targets: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor


class Encoder:
    """A tokenizer that remembers: the demo's texts repeat."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.assistant = tokenizer.convert_tokens_to_ids("<|assistant|>")
        self.user = tokenizer.convert_tokens_to_ids("<|user|>")
        self.memory: dict[str, list[int]] = {}

    def __call__(self, text: str) -> list[int]:
        """The tokens of a text, without special tokens."""
        if text not in self.memory:
            if len(self.memory) > 200_000:
                self.memory.clear()
            self.memory[text] = self.tokenizer(text, add_special_tokens=False).input_ids
        return self.memory[text]


def draw_batch(rng: np.random.Generator, size: int, weights: dict[str, float]) -> list[Drawing]:
    """Draw training pictures: kinds by weight, levels from clean to hardest, rather clean."""
    kinds = list(KINDS)
    shares = np.array([weights.get(kind, 1.0) for kind in kinds])
    pictures = []
    for number in rng.choice(len(kinds), size, p=shares / shares.sum()):
        level = HARDEST[kinds[number]] * rng.random() ** 1.5
        pictures.append(draw(kinds[number], rng, level))
    return pictures


def collate(pictures: Sequence[Drawing], encode: Encoder, first_only: bool = False) -> Batch:
    """Lay the questions of each picture side by side; a block mask hides them from one another."""
    rows: list[tuple[list[int], list[int], list[int], list[int]]] = []
    for picture in pictures:
        tokens: list[int] = []
        targets: list[int] = []
        segments: list[int] = []
        positions: list[int] = []
        questions = picture.questions[:1] if first_only else picture.questions
        for segment, question in enumerate(questions, start=1):
            prompt = [*encode(question.prompt), encode.assistant]
            answer = [*encode(question.answer), encode.tokenizer.eos_token_id]
            length = len(prompt) + len(answer)
            tokens += prompt + answer
            targets += [IGNORED] * (len(prompt) - 1) + answer + [IGNORED]
            segments += [segment] * length
            positions += range(PREFIX, PREFIX + length)
        rows.append((tokens, targets, segments, positions))
    size, longest = len(rows), max(len(row[0]) for row in rows)
    table = np.zeros((4, size, longest), np.int64)
    table[0], table[1] = encode.tokenizer.pad_token_id, IGNORED
    for number, row in enumerate(rows):
        for layer, values in enumerate(row):
            table[layer, number, : len(values)] = values
    tokens_, targets_, segments_, positions_ = map(torch.from_numpy, table)
    # Segment 0 is the prefix, which all see; -1 is padding, which only padding sees.
    padded = torch.where(segments_ == 0, -1, segments_)
    segments_ = torch.cat([torch.zeros(size, PREFIX, dtype=torch.long), padded], 1)
    causal = torch.ones(PREFIX + longest, PREFIX + longest).tril().bool()
    same = segments_[:, :, None] == segments_[:, None, :]
    mask = causal & ((segments_[:, None, :] == 0) | same)
    prefix = torch.arange(PREFIX)[None].expand(size, -1)
    pixels = torch.from_numpy(np.stack([picture.bytes() for picture in pictures]))
    return Batch(
        pixels=pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1),
        labels=torch.from_numpy(np.stack([picture.labels.reshape(4, -1) for picture in pictures])),
        tokens=tokens_,
        targets=targets_,
        positions=torch.cat([prefix, positions_], 1),
        mask=mask[:, None],
    )
