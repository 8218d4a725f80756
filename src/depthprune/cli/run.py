"""`depthprune run`, `init` and `demo`: everything that a study file asks for, in one go."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.util import find_spec
from json import dumps as json_text
from os.path import relpath
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from depthprune.base.errors import FileError, MissingDependencyError
from depthprune.base.files import write_text
from depthprune.base.language import Lang, filled, set_language, t
from depthprune.base.terminal import terminal
from depthprune.cli.cut import NOT_VERIFIED
from depthprune.cli.flags import AsJson, DryRun, Estimate, Language, with_flags
from depthprune.cli.measure import show_forecast
from depthprune.cli.output import show, show_json
from depthprune.engine.options import Workers
from depthprune.strategies.verification import VerificationWork
from depthprune.tasks.demo import DEMO
from depthprune.workflow.run import predict_work, run_study
from depthprune.workflow.study_file import StudyFile, read_study_file
from depthprune.workflow.sweeping import unfinished


def _require_extras() -> None:
    """Name what the demo needs and is not installed, before anything is printed or measured."""
    run = find_spec("torch") and find_spec("transformers")
    caption = find_spec("nltk") or find_spec("pycocoevalcap")
    if missing := [extra for extra, found in (("run", run), ("caption", caption)) if not found]:
        raise MissingDependencyError(
            "the demo needs packages that are not installed",
            mend=f"pip install 'depthprune[{','.join(missing)}]'",
        )


Verify = Annotated[
    bool | int | None,
    Parameter(
        help="Verify the recommended removals on samples that the search did not use: as many of "
        "each dataset as were searched, or the given number. On unless the study file says false.",
        negative="--no-verify",
    ),
]


def tell_work(work: VerificationWork) -> None:
    """Tell people what verifying will take; scripts read standard output alone."""
    from depthprune.report.sections.run import work_line

    terminal(stderr=True).print(work_line(work), highlight=False)


@with_flags
def run(
    study_file: Path,
    *,
    output: Annotated[
        Path | None,
        Parameter(
            name=("--output", "--output-dir"),
            help="Study folder, instead of the one in the file.",
        ),
    ] = None,
    num_samples: int | None = None,
    allow_weak_baseline: bool = False,
    verify: Verify = None,
    dry_run: DryRun = False,
    estimate: Estimate = False,
    json: AsJson = False,
    lang: Annotated[
        Lang | None,
        Parameter(name="--lang", help="Output language, instead of the one in the file."),
    ] = None,
    workers: Workers = Workers(),
) -> None:
    """Run a study file: all stages, from measuring the blocks to writing the smaller model.

    The stages are profile, compare and merge, search, verify, analyze, sweep, cut, and evaluate the
    cut model; those that the file has a section for are run. `depthprune init` writes a study file
    with every field explained. After an interruption, run the same command again to resume: nothing
    is measured twice.

    For example:

        depthprune init study.yaml
        depthprune run study.yaml --dry-run
        depthprune run study.yaml
        depthprune run study.yaml --num-samples 16 --output a-quick-try

    Parameters
    ----------
    study_file
        Study file (YAML).
    num_samples
        Number of samples of each split, instead of the number in the file; 0 means all.
    allow_weak_baseline
        Continue even where the unpruned model's answers are too poor to measure drops.

    """
    study = read_study_file(study_file)
    if dry_run or estimate:
        set_language(lang or study.content.lang)
        found = predict_work(study, output=output, num_samples=num_samples, estimate=estimate)
        show_forecast(found, as_json=json)
        return
    _run(
        study,
        json,
        lang or study.content.lang,
        output=output,
        num_samples=num_samples,
        allow_weak_baseline=allow_weak_baseline,
        verify=verify,
        workers=workers,
    )


def _run(study: StudyFile, as_json: bool, lang: Lang, **options: Any) -> None:
    """Run the stages that a study file asks for; each is printed as soon as it is done.

    Args:
        study: the file.
        as_json: print one JSON object in the end, with a value for each stage.
        lang: of what is printed.
        options: see `run_study`.

    Raises:
        DepthpruneError: something could not be measured or written; all else was.
        SystemExit: the cut model does not answer as was measured, or lacks a metric.
    """
    set_language(lang)
    outcome = run_study(study, announce=tell_work, show=None if as_json else show, **options)
    if outcome.failures:
        raise unfinished(outcome.failures)
    if as_json:
        show_json(outcome.value)
    if outcome.falls_short:
        raise SystemExit(NOT_VERIFIED)


STUDIES = files("depthprune.cli").joinpath("studies")
EXAMPLE = Path(str(STUDIES.joinpath("example.yaml")))
"""The example: it names every field, explains it, and runs as it is."""

MINIMAL = Path(str(STUDIES.joinpath("minimal.yaml")))
"""The fields that most studies change."""


def init(
    study_file: Path = Path("study.yaml"),
    *,
    model: str | None = None,
    tasks: Annotated[tuple[str, ...], Parameter(name=("--task", "--tasks"))] = (),
    task_files: Annotated[tuple[Path, ...], Parameter(name="--task-file")] = (),
    minimal: bool = False,
    overwrite: bool = False,
    lang: Language = "en",
) -> None:
    """Write a study file: an example of every field, explained, or one for your model and tasks.

    The example runs unchanged, on the bundled demo model.

    For example:

        depthprune init
        depthprune init --model ./model --task okvqa doc_qa
        depthprune init studies/qwen.yaml --model ./model --task okvqa --minimal

    Parameters
    ----------
    study_file
        Path of the new file.
    model
        Model: a folder, a hub name, or demo. Name its tasks with --task, or in the file.
    tasks
        Tasks, e.g. okvqa text_vqa.
    task_files
        Files that define your own tasks: YAML, or Python, which is executed when the study runs.
    minimal
        Only the fields that most studies change.
    overwrite
        Replace an existing file.

    """
    set_language(lang)
    if study_file.is_dir():
        raise FileError(
            "this is a folder",
            where=str(study_file),
            mend=f"name a file, for example {study_file / 'study.yaml'}",
        )
    if study_file.exists() and not overwrite:
        raise FileError(
            "there is a file already",
            where=str(study_file),
            mend="name another one, or add --overwrite",
        )
    text = (MINIMAL if minimal else EXAMPLE).read_text(encoding="utf-8")
    chosen = _chosen(study_file.parent, model, tasks, task_files)
    write_text(study_file, _filled_in(text, chosen))
    written = t("Written: {path}. Edit it, then: depthprune run {path}").format(path=study_file)
    show([written])


def _chosen(
    folder: Path, model: str | None, tasks: tuple[str, ...], task_files: tuple[Path, ...]
) -> dict[str, Any]:
    """Return the fields of a study file that lies in a folder, of what was asked for."""

    def seen_from_there(path: str | Path) -> str:
        return str(path) if Path(path).is_absolute() else relpath(path, folder)

    chosen: dict[str, Any] = {}
    if tasks:
        chosen |= {"tasks": list(tasks), "joint": len(tasks) > 1}
    if task_files:
        chosen["task_files"] = [seen_from_there(one) for one in task_files]
    if model is not None and model != DEMO:
        # A name that no folder has is one of the hub.
        chosen["source"] = seen_from_there(model) if Path(model).exists() else model
        chosen |= {
            "tasks": list(tasks),
            "output": None,
            "num_samples": 1000,
            "max_blocks_to_remove": 4,
        }
    return chosen


def _filled_in(text: str, chosen: dict[str, Any]) -> str:
    """Return a study file with other values in the first line of each field; remarks stay."""
    for name, value in chosen.items():
        # JSON is YAML, and quotes what needs it.
        plain = json_text(value, ensure_ascii=False)
        line = re.compile(rf"^( *{name}: )(\[.*?\]|\S+)( *)", re.MULTILINE)

        def written(found: re.Match[str], plain: str = plain) -> str:
            width = len(found[2] + found[3]) if found[3] else 0
            return found[1] + (
                plain.ljust(width) if len(plain) < width else f"{plain} " if found[3] else plain
            )

        text = line.sub(written, text, count=1)
    return text


DEMO_STUDY = Path(str(STUDIES.joinpath("demo.yaml")))


def demo(
    *,
    output: Annotated[
        Path, Parameter(name=("--output", "--output-dir"), help="Study folder.")
    ] = Path("depthprune-demo"),
    num_samples: int | None = None,
    verify: Verify = None,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Run a complete study of the bundled demo model: 16 blocks, eight datasets, minutes on a CPU.

    Needs neither a network nor a GPU. Runs one beam search on the mean drop over all datasets, like
    `depthprune search demo --joint --num-samples 64 --output depthprune-demo`. Then it verifies the
    recommended removals on fresh samples, writes the report, measures latency, cuts the recommended
    blocks out of the checkpoint, and evaluates the smaller model on the same questions.

    For example:

        depthprune demo

    Parameters
    ----------
    num_samples
        Number of samples of each dataset (default: 64). More samples take longer and give narrower
        intervals.

    """
    set_language(lang)
    _require_extras()
    study = read_study_file(DEMO_STUDY)
    samples = study.data_options(num_samples).samples
    if not json:
        opening = t(
            "Beam search over the 16 blocks of the embedded vision-language model, on its "
            "eight datasets together, {samples} {samples:sample|samples} each."
        )
        terminal(stderr=True).print(filled(opening, samples=samples or t("all")), highlight=False)
    _run(study, json, lang, output=output, num_samples=num_samples, verify=verify)
