"""What does sharing work between removals save?

Compares the reference evaluator with the shared one, in turns in one process, on beam searches of
width 3 down to four blocks removed:

- the embedded demo model (16 blocks, a vision tower) on some of its datasets;
- random Llamas of 16 and 32 blocks, prompts of 64, 256 and 1024 tokens, answers of 1, 8 and 16.

    python benchmarks/engine.py [--samples 8] [--prompts 64 256] [--answers 1 8 16] [--blocks 16 32]
    python benchmarks/engine.py --growth

prints a table in markdown: block executions (counted), ratios of CPU and wall time, peak memory,
accepted drafts, differing answers. `--growth` prints how the time of the shared evaluator grows
with samples, blocks and the width of the beam.

Random blocks change their input so little (`--residual`) that skipping one changes some answers and
not others, as in a trained model; the table says how many drafts were right.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any
from zlib import crc32

import torch
from measuring import Cost, beam_search, differing, machine, measured, number_of_answers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from depthprune.base.removal import Removal
from depthprune.blocks.models import LoadedModel, load_model
from depthprune.blocks.stack import find_stack
from depthprune.engine import Evaluation, Evaluator, ReferenceEvaluator, SharedEvaluator
from depthprune.tasks.demo import MODEL_PATH
from depthprune.tasks.load import load_split
from depthprune.tasks.registry import list_tasks
from depthprune.tasks.task import Sample, Task, TaskSplit

WORDS = 2000
DEMO_TASKS = ("demo_text_vqa", "demo_coco_caption", "demo_science_qa_img")
HEADING = (
    "model",
    "prompt",
    "answer",
    "block calls",
    "fewer",
    "block-tokens",
    "CPU s",
    "CPU",
    "wall",
    "memory MB",
    "drafts right",
    "differing",
)


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    prompt: str
    answer: str
    loaded: LoadedModel
    split: TaskSplit


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--prompts", type=int, nargs="*", default=[64, 256, 1024])
    parser.add_argument("--answers", type=int, nargs="*", default=[1, 8, 16])
    parser.add_argument("--blocks", type=int, nargs="*", default=[16, 32])
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--residual", type=float, default=0.004, help="how much a block changes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--no-demo", action="store_true")
    parser.add_argument("--growth", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine() + "\n")
    if options.growth:
        print_growth(options)
    else:
        print_table(HEADING, (compare(case, options.batch_size) for case in cases(options)))
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d')}")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Yield what is compared."""
    if not options.no_demo:
        loaded = load_model(MODEL_PATH, dtype=options.dtype, device=options.device)
        for task in (one for one in list_tasks() if one.name in DEMO_TASKS):
            split = load_split(task, "validation", num_samples=options.samples)
            yield Case("demo, " + task.name, "picture", str(task.max_new_tokens), loaded, split)
    for blocks in options.blocks:
        loaded = random_model(blocks, options)
        for prompt in options.prompts:
            for answer in options.answers:
                split = random_split(options.samples, prompt, answer)
                yield Case(f"Llama, {blocks} blocks", str(prompt), str(answer), loaded, split)


def compare(case: Case, batch_size: int) -> tuple[str, ...]:
    """Return the line of one case."""
    warm_up(case, batch_size)
    reference = ReferenceEvaluator(case.loaded, batch_size=batch_size)
    slow, before = _search(case, reference)
    shared = SharedEvaluator(case.loaded, batch_size=batch_size)
    fast, after = _search(case, shared)
    seen = shared.statistics
    return (
        case.name,
        case.prompt,
        case.answer,
        f"{after.calls}",
        f"{before.calls / max(after.calls, 1):.1f}x",
        f"{before.tokens / max(after.tokens, 1):.2f}x",
        f"{after.cpu:.1f}",
        f"{before.cpu / after.cpu:.2f}x",
        f"{before.wall / after.wall:.2f}x",
        f"{before.memory:.0f} -> {after.memory:.0f}",
        f"{seen.drafts_accepted / max(seen.drafts_offered, 1):.0%}",
        f"{differing(slow, fast)} of {number_of_answers(slow)}",
    )


def print_growth(options: argparse.Namespace) -> None:
    """Print how the time of the shared evaluator grows, one quantity at a time."""
    lines = []
    for samples, blocks, width in (
        *((samples, 16, 3) for samples in (8, 16, 32, 64)),
        *((8, blocks, 3) for blocks in (16, 32, 64)),
        *((8, 16, width) for width in (1, 3, 5, 9)),
    ):
        case = Case("", "", "", random_model(blocks, options), random_split(samples, 64, 8))
        warm_up(case, options.batch_size)
        evaluator = SharedEvaluator(case.loaded, batch_size=options.batch_size)
        found, cost = _search(case, evaluator, width)
        per_answer = 1000 * cost.cpu / number_of_answers(found)
        lines.append(
            (
                str(samples),
                str(blocks),
                str(width),
                str(len(found)),
                f"{cost.cpu:.2f}",
                f"{per_answer:.2f}",
                f"{1000 * per_answer / blocks:.0f}",
                f"{cost.memory:.0f}",
            )
        )
    heading = ("samples", "blocks", "width", "removals", "CPU s", "ms an answer", "us a block")
    print_table((*heading, "memory MB"), lines)


def random_model(blocks: int, options: argparse.Namespace) -> LoadedModel:
    """Return a random Llama that reads words."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=options.hidden,
        intermediate_size=3 * options.hidden,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.1,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight *= 10
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight *= options.residual
            layer.mlp.down_proj.weight *= options.residual
    dtype = getattr(torch, options.dtype)
    return LoadedModel(
        model=model.to(device=options.device, dtype=dtype),
        processor=word_tokenizer(),
        kind="text",
        fingerprint="random",
        name=f"llama-{blocks}",
    )


def word_tokenizer() -> Any:
    """Return a tokenizer with one token per word."""
    names = ["<pad>", "<s>", "</s>", "<unk>", *(f"w{number}" for number in range(4, WORDS))]
    vocabulary = {word: index for index, word in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
    )


def random_split(samples: int, prompt: int, answer: int) -> TaskSplit:
    """Return samples with prompts of about `prompt` random words, and answers up to `answer`."""
    draw = Random(prompt)
    task = Task(f"random-{prompt}", "Exact Match", source=NoSource(), max_new_tokens=answer)
    made = tuple(
        Sample(
            id=str(number),
            question=" ".join(
                f"w{draw.randrange(4, WORDS)}" for _ in range(draw.randint(prompt * 7 // 8, prompt))
            ),
        )
        for number in range(samples)
    )
    return TaskSplit(task, "validation", made, HashScorer(), f"random-{prompt}-{answer}")


class HashScorer:
    """Scores answers by a hash: any block may seem the best to remove, early ones and late ones."""

    name = "hash"
    options: Mapping[str, Any] = MappingProxyType({})

    def score(self, sample: Sample, answer: str) -> float:
        """Return a number from 0 to 1 that only the sample and the answer decide."""
        return crc32(f"{sample.id} {answer}".encode()) / 2**32

    def score_many(self, samples: Sequence[Sample], answers: Sequence[str]) -> list[float]:
        """Return the score of each answer."""
        return list(map(self.score, samples, answers))


class NoSource:
    """Stands where a task says where its samples come from."""

    def samples(self, split: str) -> Any:
        """Raise: the samples are made here."""
        raise NotImplementedError(split)


def warm_up(case: Case, batch_size: int) -> None:
    """Let both engines answer once: what is imported or made once is not their cost."""
    ReferenceEvaluator(case.loaded, batch_size=batch_size).evaluate(case.split, [(3,)], slice(0, 2))
    SharedEvaluator(case.loaded, batch_size=batch_size).evaluate(
        case.split, [(), (3,)], slice(0, 2)
    )


def print_table(heading: Iterable[str], lines: Iterable[tuple[str, ...]]) -> None:
    """Print lines in markdown, each as soon as it is known."""
    heading = tuple(heading)
    print("| " + " | ".join(heading) + " |")
    print("|---" * len(heading) + "|")
    for line in lines:
        print("| " + " | ".join(line) + " |", flush=True)


def _search(
    case: Case, evaluator: Evaluator, width: int = 3
) -> tuple[dict[Removal, Evaluation], Cost]:
    num_blocks = find_stack(case.loaded.model).num_blocks
    with measured(case.loaded) as cost:
        found = beam_search(evaluator, case.split, num_blocks, width=width)
    return found, cost


if __name__ == "__main__":
    main()
