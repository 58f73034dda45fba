"""Fixtures for tests under a real systemd; tools/test --stage systemd boots one and runs them in it."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))

from harness.daemon import config_for  # noqa: E402
from harness.fixtures import (  # noqa: E402, F401
    kafka,
    paused,
    pytest_runtest_makereport,
    witness,
)

from service import Service  # noqa: E402


def pytest_configure(config):
    asked = subprocess.run(
        ["systemctl", "show", "--property=Version"], stdout=subprocess.PIPE, check=False
    )
    if asked.returncode != 0:
        raise pytest.UsageError("no systemd runs here: use  tools/test --stage systemd")


@pytest.fixture
def service(kafka):
    """kfastd as a service; `service(**settings)` starts it with further lines of [Service]."""
    opened = []

    def start(**settings) -> Service:
        opened.append(Service(config_for(kafka.bootstrap), settings))
        opened[-1].start()
        return opened[-1]

    yield start
    for each in opened:
        each.discard()
