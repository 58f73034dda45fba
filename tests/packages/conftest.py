"""Fixtures for tests of the packages, in a Debian of their own; tools/install-test boots one and runs them in it."""

import os
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS / "kafka"), str(_TESTS / "systemd")]

from harness.fixtures import (  # noqa: E402, F401
    kafka,
    pytest_runtest_makereport,
    witness,
)

from host import Host  # noqa: E402


def pytest_configure(config):
    if "KFAST_PACKAGES" not in os.environ:
        raise pytest.UsageError("no packages to install here: use  tools/install-test")


@pytest.fixture
def host():
    """A Debian on which kfast is not installed; afterwards it is not, either."""
    host = Host()
    yield host
    host.purge()
