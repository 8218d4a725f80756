"""Links in a model's folder: they are followed within it, and not out of it."""

from __future__ import annotations

from pathlib import Path

from depthprune.base.errors import ModelError


def check_link(path: Path, folder: Path) -> None:
    """Refuse a file or folder that is a link out of a model's folder.

    The hub's cache keeps the files of all revisions of a model in one folder, and links them.

    Raises:
        ModelError: it leads out, or in a circle.
    """
    try:
        target, home = path.resolve(), folder.resolve()
    except (OSError, RuntimeError) as error:
        raise ModelError("the link leads nowhere", where=str(path)) from error
    caches = [
        place.parent
        for place in home.parents
        if place.name == "snapshots" and place.parent.name.startswith("models--")
    ]
    if not any(target.is_relative_to(place) for place in (home, *caches)):
        raise ModelError(
            "the link leads out of the model's folder, and is not followed",
            where=f"{path} -> {target}",
            mend="name the file or folder itself that it leads to",
        )


def leads_out(path: Path, folder: Path | None = None) -> bool:
    """Return whether a file or folder is a link out of a folder: the one it is in by default."""
    try:
        check_link(path, folder or path.parent)
    except ModelError:
        return True
    return False
