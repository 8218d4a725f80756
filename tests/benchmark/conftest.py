"""What all tests of the benchmark share."""

from tests.engine.conftest import no_full_collections  # noqa: F401  # a fixture for all of them
