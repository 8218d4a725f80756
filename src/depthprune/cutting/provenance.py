"""Where a smaller checkpoint comes from: the content of its `depthprune.json`."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import Any

from depthprune import __version__
from depthprune.base.errors import FileError
from depthprune.base.files import read_json
from depthprune.cutting.plan import CutPlan

PROVENANCE_NAME = "depthprune.json"


def provenance(
    plan: CutPlan, source_fingerprint: str, fingerprint: str, command: str | None
) -> dict[str, Any]:
    """Return what made the checkpoint, out of what, and which blocks of the source are left.

    Args:
        plan: of the cut.
        source_fingerprint: of the whole checkpoint, see `model_fingerprint`.
        fingerprint: of the smaller one.
        command: that was run.
    """
    return {
        "versions": {
            "depthprune": __version__,
            "python": platform.python_version(),
            "transformers of the source": plan.config.get("transformers_version"),
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "source": {
            "name": plan.name,
            "fingerprint": source_fingerprint,
            "num_blocks": plan.num_blocks,
            "tensor_bytes": plan.bytes_before,
            "made_by_depthprune": _earlier(plan),
        },
        "part": plan.part,
        "count": plan.config_path,
        "removed": list(plan.removal),
        "original_indices": list(plan.kept),
        "fingerprint": fingerprint,
        "num_blocks": len(plan.kept),
        "tensor_bytes": plan.bytes_after,
        "changed_fields": [
            {"field": change.path, "before": change.before, "after": change.after}
            for change in plan.fields
        ],
        "notes": [str(note) for note in plan.notes],
    }


def _earlier(plan: CutPlan) -> Any:
    """Return the record of a source that was cut itself; its indices are of its own source."""
    path = plan.source / PROVENANCE_NAME
    try:
        return read_json(path) if path.is_file() else None
    except FileError:  # it is not what the checkpoint is loaded from
        return None
