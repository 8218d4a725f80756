"""The study file: one YAML file that names model, tasks, samples and what is to be done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel

from depthprune.base import prompting
from depthprune.base.errors import DepthpruneError, StudyFileError
from depthprune.base.python_file import is_own
from depthprune.base.weights import check_weights
from depthprune.base.yaml_file import YamlFile, read_yaml
from depthprune.engine.options import ModelOptions
from depthprune.importance.merge import OPTION, Scores, merge_scores
from depthprune.importance.sources import DatasetScores
from depthprune.strategies import joint
from depthprune.strategies.kinds.ablation import Ablation
from depthprune.strategies.options import OWN, SearchOptions, make_strategy
from depthprune.strategies.pipeline import SearchRequest, check_request
from depthprune.tasks.demo.place import DEMO
from depthprune.tasks.options import DataOptions
from depthprune.workflow.request import search_request, study_folder
from depthprune.workflow.study_sections import (
    EvaluateSection,
    MergeSection,
    ModelSection,
    SearchSection,
    StudyContent,
    SweepSection,
    taken,
)

DEPTH = 3
"""Keys are checked this deep: sections, their fields, and weights by name within those."""

_OWN = ("tasks", "task_files", "lm_eval_paths", "data_dir")
"""Options that are fields of the file itself; `num_samples` was checked."""

_SECTIONS: dict[str, type[BaseModel]] = {
    "search": SearchSection,
    "evaluate": EvaluateSection,
    "sweep": SweepSection,
    "merge": MergeSection,
    "model": ModelSection,
}
"""Sections whose fields are options of a command; the first that has an option is meant."""


@dataclass(frozen=True)
class StudyFile:
    """A study file that was read; what it says means what the same options would mean.

    Attributes:
        file: where everything stands, for messages.
        content: what it says, checked.
    """

    file: YamlFile
    content: StudyContent

    @property
    def model(self) -> str:
        """The model as the command line would name it; a folder is looked for beside the file."""
        source = self.content.model.source
        beside = self._beside(Path(source))
        is_path = source.startswith((".", "~", "/")) or beside.is_dir()
        return str(beside) if is_path and source != DEMO else source

    @property
    def search(self) -> SearchSection:
        """The section about the search; the usual values when there is none."""
        return self.content.search or SearchSection()

    def model_options(self) -> ModelOptions:
        """Return the options about the model."""
        options = taken(self.content.model, ModelOptions)
        if options.chat_template in (None, prompting.OWN, prompting.NONE):
            return options
        return replace(options, chat_template=str(self._beside(Path(options.chat_template))))

    def data_options(self, num_samples: int | None = None) -> DataOptions:
        """Return the options about the data; `num_samples` replaces what the file says."""
        said = taken(self.content, DataOptions)
        return replace(
            said,
            num_samples=said.num_samples if num_samples is None else num_samples,
            data_dir=None if said.data_dir is None else self._beside(said.data_dir),
            task_files=tuple(map(self._beside, said.task_files)),
            lm_eval_paths=tuple(map(self._beside, said.lm_eval_paths)),
        )

    def search_options(self, tasks: Sequence[str]) -> SearchOptions:
        """Return the options of the search, over these tasks."""
        said = self.search.model_dump()
        if is_own(said["strategy"]):
            said["strategy"] = str(self._beside(Path(said["strategy"])))
        weights: dict[str, float] = {}
        if self.search.task_weights:
            joint.check_joint(joint=self.search.joint)
            weights = check_weights(
                self.search.task_weights, tasks, option=joint.OPTION, thing="task"
            )
        own = {name: said[name] for name in OWN} | {
            "strategy": make_strategy(said),
            "protect": frozenset(self.search.protect),
            "task_weights": weights,
        }
        return SearchOptions(**own)

    def folder(self) -> Path:
        """Return the folder of the study."""
        output = self.content.output
        return self._beside(study_folder(None, self.model) if output is None else output)

    def cut_output(self) -> Path | None:
        """Return the folder of the smaller checkpoint; None: one in the study, by its blocks."""
        section = self.content.cut
        output = None if section is None else section.output
        return None if output is None else self._beside(output)

    def requests(
        self, output: Path | None = None, num_samples: int | None = None
    ) -> dict[str, SearchRequest]:
        """Return what is to be measured: `profile`, `search` or both, in this order.

        Args:
            output: a folder instead of the one in the file.
            num_samples: instead of the number in the file; 0 means all.

        Raises:
            DepthpruneError: there is no such task, or options do not fit each other.
        """
        with self.about("tasks"):
            return self._requests(output, num_samples)

    def _requests(self, output: Path | None, num_samples: int | None) -> dict[str, SearchRequest]:
        request = search_request(
            self.model,
            self.folder() if output is None else output,
            self.model_options(),
            self.data_options(num_samples),
        )
        search = replace(
            request,
            search=self.search_options([task.name for task in request.tasks]),
            allow_weak_baseline=self.content.allow_weak_baseline,
        )
        requests = {}
        if self.content.profile is not None:
            splits = tuple(self.content.profile.splits)
            requests["profile"] = replace(
                search,
                splits=splits,
                data=replace(search.data, splits=splits),
                search=SearchOptions(Ablation()),
            )
        if self.content.search is not None:
            check_request(search)
            requests["search"] = search
        if self.content.merge is not None and self.content.merge.dataset_weights:
            tasks = sorted(task.name for task in search.tasks)
            check_weights(self.content.merge.dataset_weights, tasks, option=OPTION, thing="dataset")
        return requests

    def merge(self, datasets: Sequence[DatasetScores]) -> Scores:
        """Return the importance over all datasets, as the section `merge` says.

        Raises:
            DepthpruneError: the weights do not fit the datasets, or the datasets each other.
        """
        section = self.content.merge or MergeSection()
        with self.about("tasks"):
            return merge_scores(
                datasets,
                method=section.method,
                train_weight=section.train_val_weight,
                dataset_weights=section.dataset_weights or None,
            )

    def place(self, field: Sequence[str]) -> str:
        """Return file, line and name of a field, for messages."""
        return f"{self.file.place(field)}, {'.'.join(field)}"

    @contextmanager
    def about(self, *field: str) -> Iterator[None]:
        """Name field and line where an error names an option, or `field` if it names no place."""
        try:
            yield
        except DepthpruneError as error:
            concerned = field if error.option is None else _field_of(error.option)
            if error.where or not concerned:
                raise
            raise error.but(where=self.place(concerned)) from error

    def file_or_name(self, name: str) -> str:
        """Return the path of a file that lies beside the study file; another name as it is."""
        path = self._beside(Path(name))
        return str(path) if path.is_file() else name

    def _beside(self, path: Path) -> Path:
        """Return a path that is relative to the folder of the file."""
        return self.file.path.parent / path.expanduser()


def _field_of(option: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return where a study file says what an option says; empty where it says no such thing."""
    if option in _OWN:
        return (str(option),)
    for name, section in _SECTIONS.items():
        if option in section.model_fields and option != "num_samples":
            return name, str(option)
    return ()


def read_study_file(path: Path) -> StudyFile:
    """Read a study file, and check every field.

    Raises:
        StudyFileError: the file cannot be read, is not YAML, or a field is unknown, missing or of
            the wrong type; names file, line and field.
    """
    file = read_yaml(path, thing="the study file", error=StudyFileError)
    file.check_keys(DEPTH)
    if not isinstance(file.content, dict):
        raise StudyFileError(
            "the study file is empty" if file.content is None else "a study file maps fields",
            where=str(path),
            mend="`depthprune init` writes an example that runs",
        )
    return StudyFile(file, file.validate(StudyContent, thing="a study"))
