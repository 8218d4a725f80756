"""`depthprune.structure`: its functions, and the imports that the documentation once showed."""

from __future__ import annotations

import subprocess
import sys
from itertools import permutations

import pytest

OLD = (
    "from depthprune.structure.analyze import analyze, read_model",
    "from depthprune.structure.summarize import summarize",
    "import depthprune.structure.batches",
)


@pytest.mark.parametrize("order", list(permutations(OLD)), ids=str)
def test_functions_stay_functions_in_any_order_of_imports(order: tuple[str, ...]) -> None:
    code = "\n".join(
        (
            "import depthprune as dp",
            "dp.structure.analyze",
            *order,
            "assert all(map(callable, (dp.structure.analyze, dp.structure.batch)))",
            "assert all(map(callable, (dp.structure.summarize, dp.structure.table)))",
            "assert dp.structure.analyze('demo').anatomy.total == analyze('demo').anatomy.total",
        )
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
