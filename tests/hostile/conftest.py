"""Fixtures for tests of what strangers do to kfastd's sockets; they need no Kafka."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))

from harness.daemon import Kfastd, config_for  # noqa: E402
from harness.fixtures import (  # noqa: E402, F401
    pytest_runtest_makereport,
)


@pytest.fixture(scope="module")
def kfastd():
    """kfastd for one test file, with a cluster that nobody answers for; must end cleanly."""
    with Kfastd(config_for("127.0.0.1:1")) as daemon:
        yield daemon
