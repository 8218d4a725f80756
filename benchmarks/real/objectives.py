"""Which number ranks removals best on few samples: accuracy, or what lies behind it?

python benchmarks/real/objectives.py REAL
python benchmarks/real/objectives.py REAL --removals benchmarks/real/removals.json \
    --output several --samples 48 64

REAL is the folder that `build.py` wrote. Every sample of three multiple-choice tasks is answered
without each removal (all single blocks, or those of the file), with the losses of all options kept.
Then, many times over, a few samples of each task rank the removals of as many blocks, and the other
samples judge which one came first. What is measured is kept in DIR and not measured again.

All removals share their common prefixes: one walk through the trie of removals, with the prompt of
a sample once and its options as branches of one row.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import scaled_dot_product_attention, silu
from transformers import AutoModelForCausalLM, AutoTokenizer

TASKS = ("definitions", "capitals", "elements")
BATCH = 16
DRAWS = 400
NUMBERS = (8, 16, 24, 48)
TEXT = 192
"""Tokens that are read of a text."""

Removal = tuple[int, ...]
Row = dict[str, Any]


class Asked(NamedTuple):
    """What is asked of the model: tokens of the prompt and of each option, with what its loss is
    divided by; without the chat template where it is plain."""

    prompt: list[int]
    options: list[list[int]]
    sizes: list[int]
    is_plain: bool


class Walk:
    """A Llama whose blocks are walked through for many removals at once."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.config = self.model.config
        self.num_blocks = len(self.model.model.layers)
        one, other = (self.tokens(text) for text in ("A", "B b"))
        pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
        self.shared = [token for token, _ in pairs]

    def tokens(self, question: str) -> list[int]:
        """Return the tokens of a question as it is sent."""
        turns = [{"role": "user", "content": question}]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return list(self.tokenizer(text)["input_ids"])

    def asked(self, row: Row) -> Asked:
        """Return what is asked of the model: a question by the chat template, with its options; a
        sentence as it stands, with the words it may go on with; or a text that is only read."""
        plain = "text" in row or row["question"].endswith(" ...")
        if "text" in row:
            first, *rest = self.tokenizer(row["text"])["input_ids"][:TEXT]
            return Asked([first], [rest], [len(rest)], plain)
        texts = [f" {one}" for one in row["choices"]] if plain else row["choices"]
        options = [self.tokenizer(one, add_special_tokens=False)["input_ids"] for one in texts]
        sizes = [len(one.encode()) for one in texts]
        if plain:
            prompt = self.tokenizer(row["question"].removesuffix(" ..."))["input_ids"]
            return Asked(list(prompt), options, sizes, plain)
        return Asked(self.tokens(row["question"])[len(self.shared) :], options, sizes, plain)

    def losses(
        self, rows: Sequence[Row], removals: Sequence[Removal]
    ) -> dict[Removal, tuple[NDArray[np.float32], torch.Tensor]]:
        """Return for each removal the loss per byte of every option, shape (rows, options), and
        the log-probabilities of the first token of the answer, shape (rows, vocabulary).

        All rows are asked by the chat template, or none; a text is one option, its loss per token.
        """
        given = list(map(self.asked, rows))
        before = [] if given[0].is_plain else self.shared
        ids, positions, mask, spans = self._laid_out(given, len(before))
        turned, shared_turned = (
            self.model.model.rotary_emb(torch.zeros(1), one)
            for one in (positions, torch.arange(len(before))[None])
        )
        found: dict[Removal, tuple[NDArray[np.float32], torch.Tensor]] = {}

        def walk(place: int, hidden: Any, shared: Any, todo: list[Removal]) -> None:
            if place == self.num_blocks:
                (removal,) = todo
                found[removal] = self._read(hidden, spans)
                return
            if without := [one for one in todo if place in one]:
                walk(place + 1, hidden, shared, without)
            if kept := [one for one in todo if place not in one]:
                block = self.model.model.layers[place]
                further, cache = shared, None
                if before:
                    further, cache = self._block(block, shared, shared_turned, None, None)
                own, _ = self._block(block, hidden, turned, mask, cache)
                walk(place + 1, own, further, kept)

        embed = self.model.model.embed_tokens
        walk(0, embed(ids), embed(torch.tensor([before], dtype=torch.long)), list(removals))
        return found

    def _laid_out(self, rows: Sequence[Asked], first: int) -> tuple[Any, Any, Any, list[Any]]:
        """Return tokens, positions and mask of rows behind `first` shared tokens, and for each row
        the places that predict each option, its tokens, and its size."""
        laid, spans = [], []
        for row in rows:
            size = len(row.prompt)
            tokens, positions, owners = list(row.prompt), list(range(size)), [0] * size
            span = []
            for number, option in enumerate(row.options, 1):
                own = range(len(tokens), len(tokens) + len(option) - 1)
                span.append(([size - 1, *own], option, row.sizes[number - 1]))
                tokens += option[:-1]
                positions += range(size, size + len(option) - 1)
                owners += [number] * (len(option) - 1)
            laid.append((tokens, positions, owners))
            spans.append(span)
        longest = max(len(tokens) for tokens, _, _ in laid)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        places = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), 1, longest, first + longest, dtype=torch.bool)
        mask[..., :first] = True
        for index, (tokens, positions, owners) in enumerate(laid):
            size = len(tokens)
            ids[index, :size] = torch.tensor(tokens)
            places[index, :size] = first + torch.tensor(positions)
            owner = torch.tensor(owners)
            # An option sees the prompt and itself.
            sees = (owner[None] == 0) | (owner[None] == owner[:, None])
            causal = torch.ones(size, size, dtype=torch.bool).tril()
            mask[index, 0, :size, first : first + size] = sees & causal
        return ids, places, mask, spans

    def _block(self, block: Any, hidden: Any, turned: Any, mask: Any, cache: Any) -> Any:
        size = self.config.hidden_size // self.config.num_attention_heads
        normed = block.input_layernorm(hidden)
        attention = block.self_attn
        query, key, value = (
            projection(normed).unflatten(-1, (-1, size)).transpose(1, 2)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        cosine, sine = (one[:, None] for one in turned)
        query, key = (
            one * cosine + torch.cat((-one[..., size // 2 :], one[..., : size // 2]), -1) * sine
            for one in (query, key)
        )
        if cache is not None:
            key, value = (
                torch.cat((before.expand(len(hidden), -1, -1, -1), own), 2)
                for before, own in zip(cache, (key, value), strict=True)
            )
        mixed = scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )
        hidden = hidden + attention.o_proj(mixed.transpose(1, 2).flatten(2))
        normed = block.post_attention_layernorm(hidden)
        mlp = block.mlp
        return hidden + mlp.down_proj(silu(mlp.gate_proj(normed)) * mlp.up_proj(normed)), (
            key,
            value,
        )

    def _read(self, hidden: Any, spans: list[Any]) -> tuple[NDArray[np.float32], torch.Tensor]:
        normed = self.model.model.norm(hidden)
        losses = np.zeros((len(spans), len(spans[0])), np.float32)
        first = []
        for index, span in enumerate(spans):
            needed = sorted({place for places, _, _ in span for place in places})
            chances = self.model.lm_head(normed[index, needed]).log_softmax(-1)
            first.append(chances[needed.index(span[0][0][0])])
            for number, (places, tokens, size) in enumerate(span):
                own = [needed.index(place) for place in places]
                losses[index, number] = -float(chances[own, tokens].sum()) / size
        return losses, torch.stack(first)


def measured(
    real: Path, removals: Sequence[Removal], samples: Sequence[int], output: Path
) -> Iterator[dict[str, Any]]:
    """Yield for each task the numbers of all its samples; measure what is not kept yet.

    Each of shape (removals, samples), higher is better: `accuracy`, `probability` and `loss` of the
    right option among the options, `kl` and `variation` of the first token to the whole model.
    """
    walk: Walk | None = None
    output.mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        parts: list[Any] = []
        for split, most in zip(("train", "validation"), samples, strict=True):
            lines = (real / "data" / task / f"{split}.jsonl").read_text(encoding="utf-8")
            rows = list(map(json.loads, lines.splitlines()))[:most]
            for start in range(0, len(rows), BATCH):
                kept = output / f"{task}-{split}-{start}.npz"
                if not kept.exists():
                    walk = walk or Walk(real / "model")
                    part = rows[start : start + BATCH]
                    _measure(walk, part, removals, kept)
                    print(f"{kept}: {len(part)} samples, {len(removals)} removals", flush=True)
                with np.load(kept) as found:
                    parts.append(dict(found))
        yield {name: np.concatenate([one[name] for one in parts], axis=1) for name in parts[0]}


def _measure(walk: Walk, rows: Sequence[Row], removals: Sequence[Removal], path: Path) -> None:
    found = walk.losses(rows, [(), *removals])
    right = np.array([row["answer"] for row in rows])
    each = np.arange(len(rows))
    whole = found[()][1]
    numbers: dict[str, list[Any]] = {}
    for removal in removals:
        losses, first = found[removal]
        options = torch.tensor(-losses, dtype=torch.float64).log_softmax(-1).numpy()
        values = {
            "accuracy": (losses.argmin(-1) == right).astype(float),
            "probability": np.exp(options[each, right]),
            "loss": options[each, right],
            "kl": -(whole.exp() * (whole - first)).sum(-1).numpy(),
            "variation": -(whole.exp() - first.exp()).abs().sum(-1).numpy() / 2,
        }
        for name, value in values.items():
            numbers.setdefault(name, []).append(value)
    partial = path.with_suffix(".part.npz")
    np.savez(partial, **{name: np.stack(value) for name, value in numbers.items()})
    partial.rename(path)


def main() -> None:
    """Measure, compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("real", type=Path)
    parser.add_argument("--removals", type=Path, help="JSON list of lists of blocks")
    parser.add_argument("--samples", type=int, nargs=2, default=[96, 112], help="of each half")
    parser.add_argument("--output", type=Path, default=Path("objectives"))
    asked = parser.parse_args()
    torch.set_grad_enabled(False)
    config = json.loads((asked.real / "model" / "config.json").read_text(encoding="utf-8"))
    singles = [(block,) for block in range(config["num_hidden_layers"])]
    given = json.loads(asked.removals.read_text()) if asked.removals else singles
    removals = [tuple(one) for one in given]
    tasks = list(measured(asked.real, removals, asked.samples, asked.output))
    print(f"{sum(one['accuracy'].shape[1] for one in tasks)} samples")
    for removed in sorted(set(map(len, removals))):
        places = [place for place, one in enumerate(removals) if len(one) == removed]
        alike = [{name: value[places] for name, value in one.items()} for one in tasks]
        print(f"\n{len(places)} removals of {removed} blocks")
        print("objective    samples  lost by the first, points  rank correlation")
        for number in NUMBERS:
            for name in alike[0]:
                lost, correlation = compared(alike, name, number)
                error = lost.std() / np.sqrt(len(lost))
                print(
                    f"{name:<12} {number:>7}  {100 * lost.mean():>16.2f} +- {100 * error:.2f}"
                    f"  {correlation.mean():>16.3f}"
                )


def compared(
    tasks: Sequence[dict[str, Any]], name: str, number: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each draw of so many samples of each task: the accuracy on the other samples that
    the first by `name` lacks to the best, and the rank correlation with that accuracy."""
    from scipy.stats import spearmanr

    generator = np.random.default_rng(0)
    lost, correlations = [], []
    for _ in range(DRAWS):
        ranks, truth = [], []
        for one in tasks:
            order = generator.permutation(one["accuracy"].shape[1])
            ranks.append(one[name][:, order[:number]].mean(1))
            truth.append(one["accuracy"][:, order[number:]].mean(1))
        ranked, true = np.mean(ranks, axis=0), np.mean(truth, axis=0)
        lost.append(true.max() - true[ranked.argmax()])
        correlations.append(spearmanr(ranked, true)[0])
    return np.array(lost), np.array(correlations)


if __name__ == "__main__":
    main()
