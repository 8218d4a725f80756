"""`depthprune demo`: a study of the embedded model on its eight datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.language import filled, set_language, t
from depthprune.base.terminal import terminal
from depthprune.cli.init import STUDIES
from depthprune.cli.measure import AsJson
from depthprune.cli.options import Language
from depthprune.cli.run import Verify, run_study
from depthprune.workflow.study_file import read_study_file

DEMO_STUDY = Path(str(STUDIES.joinpath("demo.yaml")))


def demo(
    *,
    output: Annotated[
        Path, Parameter(name=("--output", "--output-dir"), help="Folder of the study.")
    ] = Path("depthprune-demo"),
    num_samples: int | None = None,
    verify: Verify = None,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Run a study of the embedded model: 16 blocks, eight datasets, a few minutes on a CPU.

    Needs no network and no GPU. One beam search on the mean drop over all datasets, as
    `depthprune search demo --joint --num-samples 64 --output depthprune-demo`; then
    what is recommended is verified on fresh samples, written up, timed, cut out, and the smaller
    model is asked again.

    For example:

        depthprune demo

    Parameters
    ----------
    num_samples
        Samples of each dataset, 64 when not given; more take longer and give narrower intervals.

    """
    set_language(lang)
    study = read_study_file(DEMO_STUDY)
    samples = study.data_options(num_samples).samples
    if not json:
        opening = t(
            "Beam search over the 16 blocks of the embedded vision-language model, on its "
            "eight datasets together, {samples} {samples:sample|samples} each."
        )
        terminal(stderr=True).print(filled(opening, samples=samples or t("all")), highlight=False)
    run_study(study, output=output, num_samples=num_samples, verify=verify, as_json=json, lang=lang)
