"""Which split of each dataset is analysed, when several were measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from depthprune.base.errors import AnalysisError, option

PREFERRED = ("train+validation", "validation", "train")
"""Which split is taken where as many datasets have one as the other."""


def role(split: str) -> str:
    """Return what a split is used as: `test` plays validation where there is no other.

    `train+test` (as tally_qa has it) and `validation+train` are both `train+validation`.
    """
    parts = {"validation" if part == "test" else part for part in split.split("+")}
    return "+".join(sorted(parts))


def choose_splits(
    available: Mapping[str, Collection[str]], asked: str | None, where: str
) -> tuple[dict[str, str], list[str]]:
    """Return the split of each dataset that is analysed, and what must be said about it.

    Without a wish, the split that most datasets have (by its `role`), equal numbers in the order
    of `PREFERRED`; a dataset that lacks it is analysed on another one, which is said. With a wish,
    datasets that lack the split are left out, which is said too.

    Args:
        available: the splits of each dataset.
        asked: the split wished for.
        where: the folder, for messages.

    Raises:
        AnalysisError: no dataset has the split that was asked for.
    """
    by_role = {dataset: _by_role(splits) for dataset, splits in available.items()}
    wanted = _most_common(by_role) if asked is None else role(asked)
    chosen: dict[str, str] = {}
    problems: list[str] = []
    for dataset, splits in by_role.items():
        if asked is not None and asked in available[dataset]:
            chosen[dataset] = asked
        elif wanted in splits:
            chosen[dataset] = splits[wanted]
        elif asked is None:
            chosen[dataset] = splits[min(splits, key=_preference)]
            problems.append(
                f"{dataset}: {wanted} was not measured, {chosen[dataset]} is taken beside it"
            )
        else:
            problems.append(
                f"{dataset}: {asked} was not measured (but {', '.join(sorted(available[dataset]))})"
                ": left out"
            )
    if not chosen:
        names = sorted({split for splits in available.values() for split in splits})
        raise AnalysisError(
            f"no dataset was measured on the split {asked!r}",
            where=where,
            mend=f"splits that are there: {', '.join(names)}",
        )
    if len(set(map(role, chosen.values()))) == 1 and asked is None:
        problems += _unused(by_role, wanted)
    return chosen, problems


def _by_role(splits: Collection[str]) -> dict[str, str]:
    # Where a dataset has both validation and test, its validation split plays validation.
    ordered = sorted(splits, key=lambda split: (role(split) == split, split))
    return {role(split): split for split in ordered}


def _most_common(by_role: Mapping[str, Mapping[str, str]]) -> str:
    counts = Counter(name for splits in by_role.values() for name in splits)
    return min(counts, key=lambda name: (-counts[name], _preference(name)))


def _preference(name: str) -> tuple[int, str]:
    return (PREFERRED.index(name) if name in PREFERRED else len(PREFERRED)), name


def _unused(by_role: Mapping[str, Mapping[str, str]], wanted: str) -> list[str]:
    others = sorted({name for splits in by_role.values() for name in splits} - {wanted})
    if not others:
        return []
    return [
        f"the split {wanted} is analysed; measured too: {', '.join(others)} "
        f"(choose by {option('splits')})"
    ]
