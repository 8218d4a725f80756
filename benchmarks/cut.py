"""How long does cutting a checkpoint take, and how much memory, against copying and mergekit?

Makes a Llama-shaped checkpoint of random bytes (22 blocks, bfloat16, shards), then runs in turns
`depthprune cut`, `cp -r` of the very bytes that the cut wrote, and mergekit's passthrough:

    python benchmarks/cut.py [--size 2.2] [--rounds 5] [--folder DIR] [--mergekit mergekit-yaml]

and prints medians in markdown. Needs three times the size on the disk under DIR. Every run reads
from the page cache and begins when nothing is left to be written to the disk. `cut` and
`cp` + `sync` end when the bytes are on the disk; `cp` and mergekit when the system has them. The
memory is the largest process's, as the system counts it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

BLOCKS, REMOVED = 22, (4, 13)
HIDDEN, INTERMEDIATE, KEYS, VOCABULARY = 2048, 5632, 256, 32000
FULL_SIZE = 2.2  # GB at these widths
SHARD = 500 * 10**6
GOALS = {"cp -r": 1.3, "mergekit": 1 / 8}
MEMORY_GOAL = 60.0


@dataclass(frozen=True)
class Run:
    """What one command took: wall and CPU seconds, and MB of memory at most."""

    wall: float
    cpu: float
    memory: float


def main() -> None:
    """Make the checkpoint, run the commands in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=FULL_SIZE, help="GB of the checkpoint")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--mergekit", default="mergekit-yaml", help="mergekit's program")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="depthprune-", dir=options.folder) as place:
        folder = Path(place)
        free = shutil.disk_usage(folder).free / 1e9
        if free < 3.2 * options.size:
            sys.exit(f"{folder} has {free:.1f} GB left, and {3.2 * options.size:.1f} are needed")
        write_checkpoint(folder / "whole", options.size / FULL_SIZE)
        mergekit = shutil.which(options.mergekit)
        if mergekit is None:
            print("mergekit is not here, and is left out: see --mergekit\n")
        measure(folder, mergekit, options.rounds)


def measure(folder: Path, mergekit: str | None, rounds: int) -> None:
    """Run every command `rounds` times in turns; the first turn, unmeasured, warms the cache."""
    commands = {"depthprune cut": cut_command(folder)}
    written = folder / "written"
    run_one(cut_command(folder, written), written, keep=True)
    copy = folder / "copy"
    commands["cp -r"] = ["cp", "-r", str(written), str(copy)]
    commands["cp -r, then sync"] = ["sh", "-c", f"cp -r {written} {copy} && sync {copy}/*"]
    if mergekit:
        commands["mergekit"] = mergekit_command(folder, mergekit)
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    print(machine())
    print(f"load at the start: {os.getloadavg()[0]:.1f}")
    for turn in range(rounds + 1):
        for name, command in commands.items():
            output = copy if name.startswith("cp") else folder / name.split()[0]
            run = run_one(command, output)
            if turn:
                runs[name].append(run)
    print(f"load at the end:   {os.getloadavg()[0]:.1f}\n")
    size = sum(file.stat().st_size for file in written.iterdir()) / 1e9
    print(f"{size:.2f} GB written, medians of {rounds} rounds:\n")
    print("\n".join(table(runs)))


def table(runs: dict[str, list[Run]]) -> Iterator[str]:
    """Yield the lines of the table, and below it what became of the goals."""
    ours = runs["depthprune cut"]
    yield "| command | wall s | range | CPU s | peak MB | cut takes |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, measured in runs.items():
        walls = [run.wall for run in measured]
        cells = (
            name,
            f"{statistics.median(walls):.2f}",
            f"{min(walls):.2f} to {max(walls):.2f}",
            f"{statistics.median(run.cpu for run in measured):.2f}",
            f"{max(run.memory for run in measured):.0f}",
            "" if measured is ours else f"{ratio(ours, measured):.2f}x",
        )
        yield "| " + " | ".join(cells) + " |"
    yield ""
    for name, most in GOALS.items():
        if name in runs:
            found = ratio(ours, runs[name])
            yield f"- goal, at most {most:.3g}x the time of {name}: {verdict(found <= most)}"
    peak = max(run.memory for run in ours)
    yield f"- goal, under {MEMORY_GOAL:.0f} MB: {verdict(peak < MEMORY_GOAL)}"


def ratio(ours: list[Run], theirs: list[Run]) -> float:
    """Return the median of the ratios turn by turn: what slows the machine slows both."""
    return statistics.median(
        mine.wall / other.wall for mine, other in zip(ours, theirs, strict=True)
    )


def verdict(reached: bool) -> str:
    """Say whether a goal is reached."""
    return "reached" if reached else "MISSED"


def run_one(command: list[str], output: Path, *, keep: bool = False) -> Run:
    """Run a command that writes `output`, measure it and its children, and clear up after it."""
    shutil.rmtree(output, ignore_errors=True)
    os.sync()
    start = time.monotonic()
    # This process is small: a new one counts the memory of the one it was made from as its own.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    complaints = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    if status != 0 or not (output / "config.json").is_file():
        sys.exit(f"{' '.join(command)} failed:\n{complaints.decode()[-2000:]}")
    if not keep:
        shutil.rmtree(output)
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def cut_command(folder: Path, output: Path | None = None) -> list[str]:
    """Return the command that cuts the blocks out."""
    removed = ",".join(map(str, REMOVED))
    target = output or folder / "depthprune"
    program = [sys.executable, "-m", "depthprune", "cut", str(folder / "whole")]
    return [*program, "--remove", removed, "--output", str(target), "--max-shard-size", "500MB"]


def mergekit_command(folder: Path, program: str) -> list[str]:
    """Return the command that makes the same model by mergekit's passthrough."""
    edges = [-1, *REMOVED, BLOCKS]
    ranges = [(before + 1, after) for before, after in pairwise(edges)]
    slices = "".join(
        f"  - sources:\n      - model: {folder / 'whole'}\n        layer_range: [{first}, {end}]\n"
        for first, end in ranges
        if first < end
    )
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"slices:\n{slices}merge_method: passthrough\ndtype: bfloat16\n")
    options = ["--out-shard-size", "250M", "--no-copy-tokenizer"]
    return [program, str(recipe), str(folder / "mergekit"), *options]


def write_checkpoint(folder: Path, scale: float) -> None:
    """Write a checkpoint shaped like TinyLlama; `scale` shortens its feed-forward layers."""
    folder.mkdir()
    intermediate = round(INTERMEDIATE * scale)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_size": HIDDEN,
        "intermediate_size": intermediate,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "num_hidden_layers": BLOCKS,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    used = 0
    for name, shape in tensors(intermediate):
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        if used + size > SHARD:
            shards.append({})
            used = 0
        shards[-1][name] = shape
        used += size
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        weight_map |= dict.fromkeys(shard, file)
        write_shard(folder / file, shard)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def tensors(intermediate: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes."""
    yield "lm_head.weight", (VOCABULARY, HIDDEN)
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for block in range(BLOCKS):
        prefix = f"model.layers.{block}."
        yield prefix + "input_layernorm.weight", (HIDDEN,)
        yield prefix + "mlp.down_proj.weight", (HIDDEN, intermediate)
        yield prefix + "mlp.gate_proj.weight", (intermediate, HIDDEN)
        yield prefix + "mlp.up_proj.weight", (intermediate, HIDDEN)
        yield prefix + "post_attention_layernorm.weight", (HIDDEN,)
        yield prefix + "self_attn.k_proj.weight", (KEYS, HIDDEN)
        yield prefix + "self_attn.o_proj.weight", (HIDDEN, HIDDEN)
        yield prefix + "self_attn.q_proj.weight", (HIDDEN, HIDDEN)
        yield prefix + "self_attn.v_proj.weight", (KEYS, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)


def write_shard(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Write a safetensors file of random bytes, in little memory."""
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    chance = random.Random(path.name)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        while end:
            piece = chance.randbytes(min(end, 1024**2))
            file.write(piece)
            end -= len(piece)


def machine() -> str:
    """Say what the figures were measured on."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return f"{os.cpu_count()} CPUs ({processor}), {platform.system()} {platform.release()}"


if __name__ == "__main__":
    main()
