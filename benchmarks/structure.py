"""How long and in how much memory are checkpoints analysed, and many analyses summarised?

    python benchmarks/structure.py
    python benchmarks/structure.py --rounds 7 --only llama-3-8b counting

- `llama-3-8b`: `structure analyze` of a checkpoint with the headers of Llama-3-8B (8,030,261,248
  parameters) and no bytes behind them, against building the model on the meta device, which reads
  no checkpoint at all and takes every model for unpruned.
- `counting`: a checkpoint of 2.2 GB of random bytes, against loading it with `from_pretrained` and
  adding up the parameters of its modules, as torchinfo does; the same with `--count-zeros`.
- `summary`: 1,000 analysis folders of models of 32 layers by `structure summarize`.

Every command is a process of its own; the commands of a question run in turns, the first turn
unmeasured. "Beyond start" is what a command takes more than its libraries take to be imported:
`structure analyze --help`, or torch and the model's class. Memory is the process's resident set at
its largest. Figures in markdown; the exit code is 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cut import machine, write_checkpoint

from depthprune.checkpoint.safetensors_files import make_header
from depthprune.checkpoint.stored import num_bytes

LLAMA_3_8B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
}
PARAMETERS = 8_030_261_248
MOST_SECONDS, MOST_MEGABYTES = 1.0, 300.0
FOLDERS, MOST_SUMMARY_SECONDS = 1000, 3.0
QUESTIONS = ("llama-3-8b", "counting", "summary")

PROGRAM = (sys.executable, "-m", "depthprune", "structure")
LIBRARIES = "import torch; from transformers import AutoConfig, LlamaForCausalLM"
ON_META = (
    LIBRARIES
    + """
import sys
with torch.device("meta"):
    model = LlamaForCausalLM(AutoConfig.from_pretrained(sys.argv[1]))
print(sum(parameter.numel() for parameter in model.parameters()))
"""
)
LOADED = (
    LIBRARIES
    + """
import sys
model = LlamaForCausalLM.from_pretrained(sys.argv[1], dtype="auto")
rows = [
    (name, type(module).__name__, sum(each.numel() for each in module.parameters(recurse=False)))
    for name, module in model.named_modules()
]
print(sum(count for _, _, count in rows))
"""
)
ZEROS = (
    LOADED
    + """
print(sum(int((parameter == 0).sum()) for parameter in model.parameters()))
"""
)


@dataclass(frozen=True)
class Run:
    """What one command took: wall and CPU seconds, MB at most; and what it printed."""

    wall: float
    cpu: float
    memory: float
    printed: str


Commands = Mapping[str, Sequence[str]]
Runs = Mapping[str, Sequence[Run]]


def main() -> int:
    """Answer the questions one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=QUESTIONS)
    parser.add_argument("--size", type=float, default=2.2, help="GB of the checkpoint to load")
    parser.add_argument("--folder", type=Path, help="where the checkpoints go")
    options = parser.parse_args()
    print(f"{machine()}, Python {sys.version.split()[0]}, {options.rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="depthprune-", dir=options.folder) as place:
        folder = Path(place)
        missed = 0
        if "llama-3-8b" in options.only:
            missed += analyse_headers(folder, options.rounds)
        if "counting" in options.only:
            count_parameters(folder, options.rounds, options.size)
        if "summary" in options.only:
            missed += summarise(folder, options.rounds)
    return int(missed > 0)


def analyse_headers(folder: Path, rounds: int) -> int:
    """Analyse a checkpoint of 8 billion parameters; return how many limits are missed."""
    model = write_sparse_llama(folder / "Llama-3-8B", range(32))
    runs = in_turns(
        {
            "structure analyze": [*PROGRAM, "analyze", str(model), "--json"],
            "on the meta device": [sys.executable, "-c", ON_META, str(model)],
            "start of depthprune": [*PROGRAM, "analyze", "--help"],
            "start of torch and transformers": [sys.executable, "-c", LIBRARIES],
        },
        rounds,
    )
    starts = {
        "structure analyze": "start of depthprune",
        "on the meta device": "start of torch and transformers",
    }
    print("\n8,030,261,248 parameters, headers only:\n")
    print("\n".join(table(runs, starts)))
    ours = runs["structure analyze"]
    total = json.loads(ours[0].printed)["model"]["total_params"]
    seconds = beyond(runs, "structure analyze", starts)
    memory = max(run.memory for run in ours)
    print(f"\n- total exact: {verdict(total == PARAMETERS)}")
    print(f"- under {MOST_SECONDS:.0f} s beyond start: {verdict(seconds < MOST_SECONDS)}")
    print(f"- under {MOST_MEGABYTES:.0f} MB: {verdict(memory < MOST_MEGABYTES)}")
    return sum((total != PARAMETERS, seconds >= MOST_SECONDS, memory >= MOST_MEGABYTES))


def count_parameters(folder: Path, rounds: int, size: float) -> None:
    """Count parameters and zeros of a checkpoint with real bytes, ours against loading it."""
    write_checkpoint(folder / "real", size / 2.2)
    model = str(folder / "real")
    runs = in_turns(
        {
            "structure analyze": [*PROGRAM, "analyze", model, "--json"],
            "from_pretrained, then count": [sys.executable, "-c", LOADED, model],
            "structure analyze --count-zeros": [
                *(*PROGRAM, "analyze", model),
                *("--count-zeros", "--json"),
            ],
            "from_pretrained, then count zeros": [sys.executable, "-c", ZEROS, model],
        },
        rounds,
    )
    bytes_ = sum(file.stat().st_size for file in (folder / "real").iterdir())
    print(f"\n{bytes_ / 1e9:.2f} GB of weights:\n")
    print("\n".join(table(runs, {})))
    ours = json.loads(runs["structure analyze --count-zeros"][0].printed)["model"]
    theirs = list(map(int, runs["from_pretrained, then count zeros"][0].printed.split()))
    same = [ours["total_params"], ours["sparsity"]["zeros"]] == theirs
    print(f"\n- the same parameters and zeros ({theirs[0]:,}; {theirs[1]:,}): {verdict(same)}")
    for mine, other in (
        ("structure analyze", "from_pretrained, then count"),
        ("structure analyze --count-zeros", "from_pretrained, then count zeros"),
    ):
        print(f"- {mine} takes {ratio(runs, mine, other):.3f}x the time of {other}")


def summarise(folder: Path, rounds: int) -> int:
    """Summarise many analyses of models that lost layers; return how many limits are missed."""
    base = write_sparse_llama(folder / "base", range(32))
    pruned = write_sparse_llama(folder / "pruned", [*range(20), *range(27, 32)])
    analysis = folder / "analysis"
    arguments = ["--compare_with", str(base), "--output_dir", str(analysis)]
    run_one([*PROGRAM, "analyze", str(pruned), *arguments])
    many = folder / "many"
    for number in range(FOLDERS):
        shutil.copytree(analysis, many / f"model_{number:04d}" / "analysis")
    runs = in_turns(
        {
            "structure summarize": [
                *(*PROGRAM, "summarize", "--dirs", str(many)),
                *("--output", str(folder / "summary"), "--json"),
            ],
            "start of depthprune": [*PROGRAM, "summarize", "--help"],
        },
        rounds,
    )
    files = sum(1 for _ in analysis.iterdir())
    print(f"\n{FOLDERS} analysis folders of {files} files:\n")
    print("\n".join(table(runs, {"structure summarize": "start of depthprune"})))
    typical = statistics.median(run.wall for run in runs["structure summarize"])
    work = statistics.median(run.cpu for run in runs["structure summarize"])
    reached = verdict(typical < MOST_SUMMARY_SECONDS)
    print(f"\n- under {MOST_SUMMARY_SECONDS:.0f} s: {reached} ({work:.2f} s of processor time)")
    return int(typical >= MOST_SUMMARY_SECONDS)


def write_sparse_llama(folder: Path, layers: Sequence[int]) -> Path:
    """Write the headers of Llama-3-8B with these layers; the files are holes."""
    folder.mkdir()
    config = {**LLAMA_3_8B, "num_hidden_layers": len(layers)}
    (folder / "config.json").write_text(json.dumps(config))
    provenance = {"layers_to_remove": sorted(set(range(32)) - set(layers))}
    if len(layers) < 32:
        (folder / "layers_to_remove.json").write_text(json.dumps(provenance))
    shapes = dict(llama_shapes(len(layers)))
    header = make_header((name, "BF16", shape) for name, shape in shapes.items())
    path = folder / "model.safetensors"
    path.write_bytes(header)
    length = sum(num_bytes("BF16", shape) for shape in shapes.values())
    os.truncate(path, len(header) + length)
    return folder


def llama_shapes(layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes of Llama-3-8B with this many layers."""
    hidden, inner, keys, words = 4096, 14336, 1024, 128256
    yield "model.embed_tokens.weight", (words, hidden)
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        yield prefix + "self_attn.q_proj.weight", (hidden, hidden)
        yield prefix + "self_attn.k_proj.weight", (keys, hidden)
        yield prefix + "self_attn.v_proj.weight", (keys, hidden)
        yield prefix + "self_attn.o_proj.weight", (hidden, hidden)
        yield prefix + "mlp.gate_proj.weight", (inner, hidden)
        yield prefix + "mlp.up_proj.weight", (inner, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, inner)
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (words, hidden)


def in_turns(commands: Commands, rounds: int) -> Runs:
    """Run every command once unmeasured, then `rounds` times in turns."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    print(f"\nload before: {os.getloadavg()[0]:.1f}", end="")
    for turn in range(rounds + 1):
        for name, command in commands.items():
            run = run_one(command)
            if turn:
                runs[name].append(run)
    print(f", after: {os.getloadavg()[0]:.1f}")
    return runs


def run_one(command: Sequence[str]) -> Run:
    """Run a command and measure it with its children."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints)
        assert process.stdout is not None
        printed = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        if status != 0:
            complaints.seek(0)
            sys.exit(f"{command[:6]} failed:\n{complaints.read().decode()[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, printed)


def table(runs: Runs, starts: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a table; `starts` names the command whose time is the start of another."""
    yield "| command | wall s | range | CPU s | beyond start s | peak MB |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, measured in runs.items():
        walls = [run.wall for run in measured]
        cells = (
            name,
            f"{statistics.median(walls):.2f}",
            f"{min(walls):.2f} to {max(walls):.2f}",
            f"{statistics.median(run.cpu for run in measured):.2f}",
            f"{beyond(runs, name, starts):.2f}" if name in starts else "",
            f"{max(run.memory for run in measured):.0f}",
        )
        yield "| " + " | ".join(cells) + " |"


def beyond(runs: Runs, name: str, starts: Mapping[str, str]) -> float:
    """Return the median of what each turn took beyond the start in the same turn."""
    pairs = zip(runs[name], runs[starts[name]], strict=True)
    return statistics.median(run.wall - start.wall for run, start in pairs)


def ratio(runs: Runs, mine: str, other: str) -> float:
    """Return the median of the ratios turn by turn: what slows the machine slows both."""
    pairs = zip(runs[mine], runs[other], strict=True)
    return statistics.median(ours.wall / theirs.wall for ours, theirs in pairs)


def verdict(reached: bool) -> str:
    """Say whether a limit is kept."""
    return "reached" if reached else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
