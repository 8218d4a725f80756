"""`depthprune evaluate`: perplexity, zero-shot accuracy, speed and memory of one model."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from depthprune.base.errors import DepthpruneError
from depthprune.base.files import write_text
from depthprune.base.language import set_language, t
from depthprune.base.removal import Removal
from depthprune.base.terminal import terminal
from depthprune.cli.flags import with_flags
from depthprune.cli.measure import AsJson
from depthprune.cli.options import DEMO, Language, block_set
from depthprune.engine.card.card_file import check_card_path
from depthprune.engine.card.compare import compare_evaluations, read_evaluation
from depthprune.engine.card.measure import (
    METRICS,
    CardOptions,
    CardOutcome,
    check_metrics,
    measure_card,
)
from depthprune.engine.card.perplexity import Windows
from depthprune.engine.card.speed import SpeedOptions
from depthprune.engine.card.texts import HUB_TEXTS, text_sets
from depthprune.engine.card.zero_shot import ZERO_SHOT_TASKS, zero_shot_tasks
from depthprune.engine.options import ModelOptions
from depthprune.report.evaluation import (
    comparison_markdown,
    comparison_value,
    error_lines,
    evaluation_parts,
)
from depthprune.strategies.model import model_source, open_model

SOME_FAILED = 1
"""The exit code when a part could not be measured; the others are in the file."""

RESULTS = Path("evaluation_results.json")

_WHAT = Group.create_ordered("What is measured", sort_key=1)


@Parameter(name="*")
@dataclass(frozen=True)
class CardFlags:
    """What is measured of the model."""

    metrics: Annotated[tuple[str, ...], Parameter(group=_WHAT)] = METRICS
    """Some of ppl, zeroshot, speed, memory; as ppl,speed or ppl speed."""

    ppl_texts: Annotated[tuple[str, ...], Parameter(group=_WHAT)] = tuple(HUB_TEXTS)
    """wikitext2, ptb, or files of your own: plain text, or .jsonl with a field text."""

    window: Annotated[int, Parameter(group=_WHAT)] = 2048
    """Tokens of a text that are read at once; a model with fewer positions reads fewer."""

    stride: Annotated[int | None, Parameter(group=_WHAT)] = None
    """Tokens from one window to the next, the rest is context; a quarter of the window: 512."""

    zeroshot_tasks: Annotated[tuple[str, ...], Parameter(group=_WHAT)] = ZERO_SHOT_TASKS
    """Tasks or groups of the lm-evaluation-harness, or YAML files with definitions."""

    lm_eval_path: Annotated[tuple[Path, ...], Parameter(group=_WHAT)] = ()
    """Folders with definitions of the lm-evaluation-harness; Python they name is executed."""

    num_samples: Annotated[int, Parameter(group=_WHAT)] = 0
    """Documents of each zero-shot task, drawn at random; 0 means all."""

    prompt_tokens: Annotated[int, Parameter(group=_WHAT)] = 64
    """Tokens that are read before the timed generation."""

    new_tokens: Annotated[int, Parameter(group=_WHAT)] = 128
    """Tokens that every row generates while it is timed."""

    repeats: Annotated[int, Parameter(group=_WHAT)] = 5
    """How often each batch size is timed, after one run to warm up."""

    remove: Annotated[tuple[str, ...], Parameter(group=_WHAT)] = ()
    """Blocks that are skipped, as 4,13: what the model would be without them."""

    download: Annotated[bool, Parameter(group=_WHAT)] = False
    """Allow fetching model, texts and tasks from the hub; otherwise only the cache is read."""

    def options(self, run: ModelOptions) -> CardOptions:
        """Return what the library takes.

        Raises:
            DepthpruneError: a metric, text or task does not exist, or a number makes no sense.
        """
        metrics = check_metrics(_listed(self.metrics))
        if self.num_samples < 0 or (run.batch_size is not None and run.batch_size < 1):
            raise DepthpruneError(
                "the number of samples, or the batch size, is no number of things",
                option=("num_samples", "batch_size"),
                mend="give --num-samples 0 for all, and a batch size of at least 1",
            )
        tasks = _listed(self.zeroshot_tasks)
        return CardOptions(
            metrics=metrics,
            texts=text_sets(_named(self.ppl_texts, "ppl_texts")) if "ppl" in metrics else (),
            windows=Windows(self.window, self.window // 4 if self.stride is None else self.stride),
            tasks=zero_shot_tasks(tasks, self.lm_eval_path) if "zeroshot" in metrics else (),
            num_samples=self.num_samples or None,
            speed=SpeedOptions(
                prompt_tokens=self.prompt_tokens,
                new_tokens=self.new_tokens,
                repeats=self.repeats,
            ),
            removal=self.removal,
            part=run.stack,
            batch_size=run.batch_size,
            download=self.download,
        )

    @property
    def removal(self) -> Removal:
        """The blocks that are skipped."""
        return block_set(self.remove, "remove")


@with_flags
def evaluate(
    model: Annotated[
        str | None, Parameter(name=("--model", "--model-path"), help="Folder, hub name, or demo.")
    ] = None,
    *,
    output: Annotated[
        Path | None,
        Parameter(help="File for the results, evaluation_results.json; of --compare, the table."),
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Begin anew, whatever the file holds.")] = False,
    compare: Annotated[
        tuple[str, ...],
        Parameter(help="Measure nothing: compare such files, as base.json,cut.json."),
    ] = (),
    json: AsJson = False,
    lang: Language = "en",
    card: CardFlags = CardFlags(),
    run: ModelOptions = ModelOptions(),
) -> None:
    """Evaluate a model: perplexity, zero-shot accuracy, speed, memory, parameters.

    Works on a model, on one that `cut` wrote, and on a model whose blocks are skipped (--remove).
    Every part is written when it is finished; run it again to go on. What fails is told at the end
    and in the file, and the exit code is 1; the other parts are kept.

    For example:

        depthprune evaluate ./model --download
        depthprune evaluate ./model --remove 4,13 --output without_4_13.json
        depthprune evaluate ./model --metrics ppl,speed --ppl-texts my.txt
        depthprune evaluate ./model --metrics zeroshot --zeroshot-tasks arc_easy mmlu
        depthprune evaluate --compare evaluation_results.json,without_4_13.json
    """
    set_language(lang)
    if compare:
        if model is not None:
            raise DepthpruneError(
                "--compare reads files, and measures no model",
                option="compare",
                mend="leave out the model, or --compare",
            )
        _compare(_named(compare, "compare"), output, as_json=json)
        return
    if model is None:
        raise DepthpruneError(
            "no model was named", mend="name one, or files to --compare: base.json,cut.json"
        )
    path = output or RESULTS
    options = card.options(run)
    check_card_path(path, overwrite=overwrite)
    asked = [one.task for one in options.tasks]
    opened = open_model(model_source(model, run, download=card.download), asked)
    outcome = measure_card(
        opened.loaded,
        opened.stack,
        options,
        path,
        name=DEMO if model == DEMO else None,
        overwrite=overwrite,
    )
    if json:
        print(json_module.dumps(outcome.card, indent=1))
    else:
        _show(outcome)
    if outcome.failed:
        raise SystemExit(SOME_FAILED)


def _compare(paths: Sequence[str], output: Path | None, *, as_json: bool) -> None:
    comparison = compare_evaluations([read_evaluation(Path(path)) for path in paths])
    table = comparison_markdown(comparison)
    print(json_module.dumps(comparison_value(comparison), indent=1) if as_json else table.rstrip())
    if output is not None:
        write_text(output, table)
        terminal(stderr=True, markup=False).print(t("Table: {path}").format(path=output))


def _show(outcome: CardOutcome) -> None:
    parts: list[Any] = evaluation_parts(outcome.card)
    parts += error_lines(outcome.failed)
    where = t("Results: {path} ({measured} parts measured now, {reused} there already)")
    parts.append(
        where.format(path=outcome.path, measured=len(outcome.measured), reused=len(outcome.reused))
    )
    console = terminal(markup=False)
    for part in parts:
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))


def _listed(given: Sequence[str]) -> tuple[str, ...]:
    """Return names that were written as `a b` or `a,b`."""
    return tuple(name for word in given for name in word.split(",") if name)


def _named(given: Sequence[str], option: str) -> tuple[str, ...]:
    """Return files or names that were written as `a b` or `a,b`; a file's own comma stays.

    Raises:
        DepthpruneError: none is named.
    """
    names = [
        name
        for word in given
        for name in ([word] if Path(word).is_file() else word.split(","))
        if name
    ]
    if not names:
        raise DepthpruneError("nothing is named", option=option, mend="name at least one")
    return tuple(names)
