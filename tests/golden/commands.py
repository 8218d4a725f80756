"""The commands that are recorded, in groups; those of a group run in one folder, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cyclopts import App

FORMATS = "txt json csv md html xlsx"
BEAM = "published/exp3_beam_search_multi_dataset"
COMPARISON = "published/exp3_importance_comparison"
FEW = "--num-samples 2"
TWO = "--task demo_okvqa demo_doc_qa"
SWEEP = (
    f"sweep demo {TWO} {FEW} --latency-samples 2 --warmup 0 --latency-tokens 3 --output swept "
    "--num_active_blocks 14 16 --importance_scores_file order.json"
)


@dataclass(frozen=True)
class Command:
    """A command line, without the word depthprune, and the name of its golden file."""

    name: str
    line: str


def both(name: str, line: str) -> list[Command]:
    """Return the command in English and in Chinese; LANG in its line is the language."""
    return [
        Command(name, line.replace("LANG", "en")),
        Command(f"{name}-zh", f"{line.replace('LANG', 'zh')} --lang zh"),
    ]


# Reading results: a minute, no model, in the default run of the tests.
RESULTS = [
    *both("analyze", f"analyze {BEAM} --output analysis --skip figures"),
    Command("analyze-json", f"analyze {BEAM} --output analysis --skip figures html latex --json"),
    *both(
        "analyze-targets",
        f"analyze {BEAM} --output targets --skip figures html latex --max-drop 0.05 --speedup 1.2 "
        "--params 0.85 --min-coverage 4 --robust-coverage 5",
    ),
    *both("analyze-few", "analyze users/beam --output few --skip figures"),
    *both("recommend", f"recommend {BEAM}"),
    Command("recommend-json", f"recommend {BEAM} --json --output_file recommendations.json"),
    Command("recommend-targets", f"recommend {BEAM} --max-drop 0.05 --speedup 1.2 --params 0.85"),
    Command("recommend-ranking", f"recommend {BEAM} --min-coverage 4 --min-drop 0.01"),
    *both("summarize", f"structure summarize --dirs models --output summary --format {FORMATS}"),
    Command("summarize-json", "structure summarize --dirs models --json"),
    Command("summarize-ratio", "structure summarize --dirs models --ratio 20 --output r.csv"),
    *both("table", "table --result_dir models"),
    *both("table-xlsx", "table --result_dir models --output table.xlsx"),
    *both("table-csv", "table --result_dir models --output table.csv --sort_by mean_accuracy"),
    *both("table-md", "table --result_dir models --output table.md"),
    *both("table-html", "table --result_dir models --output table.html"),
    *both("table-latex", "table --result_dir models --output table.tex"),
    Command("table-json", "table --result_dir models --json"),
    Command("table-method", "table --result_dir models --method 'h*' --window 128 --format md"),
    *both("compare", f"compare --comparison_dir {COMPARISON} --output_dir compared"),
    Command("compare-json", "compare --comparison_dir users/comparison --json --top_k 3"),
    *both("merge", f"merge --comparison_dir {COMPARISON} --output_file merged.json"),
    Command("merge-median", f"merge --results_dir {BEAM} --output_file m.json --method median"),
    Command(
        "merge-weights",
        "merge --comparison_dir users/comparison --output_file w.json --method weighted_avg "
        "--dataset_weights okvqa=2 mmmu=1 text_vqa=1 --train_val_weight 0.5 --json",
    ),
    *both("select", "select --importance_scores_file merged.json --num_active_blocks 12 14"),
    Command(
        "select-json",
        "select --importance_scores_file merged.json --num_active_blocks 12 --protect none "
        "--json --output_file selected.json",
    ),
    *both("select-expect", "select --importance_scores_file merged.json --expect 4,13"),
    *both("scores", "scores from-removals 4 13 10 2 --output_file LANG.json"),
    Command("scores-json", "scores from-removals 4 13 --num_blocks 32 --json"),
    Command("init", "init study.yaml"),
    Command("init-zh", "init zh.yaml --lang zh"),
    *both("tasks", "tasks"),
    # What users get wrong: a sentence and exit code 2.
    Command("wrong-command", "recomend published"),
    Command("wrong-option", "recommend published --min-coverage many"),
    Command("wrong-folder", "recommend absent"),
    Command("wrong-empty", "analyze empty"),
    Command("wrong-range", f"recommend {BEAM} --max-drop 5"),
    Command("wrong-scores", "select --importance_scores_file wrong.json --num_active_blocks 12"),
    Command("wrong-number", "select --importance_scores_file merged.json --num_active_blocks 40"),
    Command("wrong-source", "merge --output_file merged.json"),
    Command("wrong-column", "table --result_dir models --sort_by nothing"),
    Command("wrong-study", "run wrong.yaml"),
    Command("wrong-value", "run value.yaml"),
]

# Measuring the embedded model: minutes. Which of two equal tokens wins depends on the processor's
# arithmetic, so another machine may differ: compared by `make golden-check` alone.
DEMO = [
    *both("demo", "demo --num-samples 4 --output first"),
    Command("demo-json", "demo --num-samples 4 --output first --json"),
]

STUDY = [
    Command("init", "init study.yaml"),
    Command("run", "run study.yaml --num-samples 4"),
    # What was measured and cut is there; the figures are not drawn again.
    Command("run-zh", "run quick.yaml --lang zh"),
    Command("run-json", "run quick.yaml --json"),
    *both("recommend", "recommend my-study"),
    *both("analyze", "analyze my-study --skip figures html"),
    *both("compare", "compare --study my-study"),
    *both("merge", "merge --study my-study --output_file merged.json"),
    *both("status", "status my-study"),
    *both("answers", "answers my-study --removal 4 --task demo_okvqa --changed -n 3"),
    Command("answers-json", "answers my-study --removal 4 --task demo_okvqa -n 2 --json"),
    *both("study-check", "study check my-study"),
    Command("study-repair", "study repair my-study --json"),
]

MEASURED = [
    Command("scores", "scores from-removals 4 13 10 2 --output_file order.json"),
    *both("sweep", SWEEP),
    Command("sweep-json", f"{SWEEP} --json"),
    *both("profile", f"profile demo {TWO} {FEW} --output profiled"),
    *both(
        "search",
        f"search demo {TWO} {FEW} --output beam --beam-width 2 --max-blocks-to-remove 2",
    ),
    Command(
        "search-greedy",
        f"search demo {TWO} {FEW} --output greedy --strategy greedy --max-blocks-to-remove 3 "
        "--joint --task-weights demo_okvqa=2 demo_doc_qa=1",
    ),
    Command(
        "search-exhaustive",
        f"search demo {TWO} {FEW} --output exhaustive --strategy exhaustive "
        "--max-blocks-to-remove 2 --protect 0 1 2 3 4 5 6 7 8 9 --json",
    ),
    Command(
        "search-evolutionary",
        f"search demo {TWO} {FEW} --output evolved --strategy evolutionary --offspring 3 "
        "--generations 2 --complete 1",
    ),
    Command(
        "search-race",
        f"search demo {TWO} --num-samples 8 --output raced --race --race-chunk 4 --beam-width 1 "
        "--max-blocks-to-remove 2",
    ),
    *both("proxies", f"proxies demo {TWO} {FEW} --output profiled"),
    *both("inspect", "inspect demo"),
    *both("sent", "tasks --show demo_okvqa demo_science_qa_img --model demo -n 2"),
    *both("cut-dry", "cut demo --remove 4,13 --dry_run"),
    *both("cut", "cut demo --remove 4,13 --output smaller/LANG"),
    *both("prune-dry", "prune demo --method magnitude --ratio 0.2 --dry-run"),
    Command(
        "compare-methods",
        "compare-methods demo --task demo_okvqa --methods magnitude --ratios 0.2 --widths uniform "
        "--num-samples 4 --output methods",
    ),
    *both(
        "structure-analyze",
        "structure analyze smaller/LANG --compare_with demo --output_dir structure/LANG",
    ),
    Command("structure-json", "structure analyze smaller/en --json"),
    *both(
        "structure-batch",
        "structure batch --models_dir smaller --base_model demo --output_dir batch/LANG",
    ),
    *both(
        "evaluate",
        "evaluate demo --metrics ppl speed --ppl-texts text.txt --output LANG.json",
    ),
    Command("figures", "table --result_dir models --output table.csv --figures figures"),
]

GROUPS = {"results": RESULTS, "demo": DEMO, "study": STUDY, "measured": MEASURED}


def help_commands() -> list[Command]:
    """Return `--help` of the program and of every command."""
    from depthprune.cli.app import app

    return [Command("help", "--help"), *_helps(app, ())]


def _helps(app: App, path: tuple[str, ...]) -> Iterator[Command]:
    for name in app:
        if not name.startswith("-"):
            here = (*path, name)
            yield Command("-".join(("help", *here)), " ".join((*here, "--help")))
            yield from _helps(app[name], here)
