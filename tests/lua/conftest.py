"""Fixtures for tests of resty.kfast in a real nginx, with a real kfastd and Kafka."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))

from harness.fixtures import (  # noqa: E402, F401
    end_on_sigterm,
    kafka,
    kfastd,
    paused,
    pytest_runtest_makereport,
    witness,
)

from nginx import Nginx  # noqa: E402


def pytest_configure(config):
    end_on_sigterm()


@pytest.fixture
def nginx(kfastd):
    """`nginx(server, …)` starts one that finds `kfastd`; all are ended, and their logs checked."""
    started = []

    def start(server="", more_environment=None, **more):
        environment = {"KFAST_SOCKET_DIR": str(kfastd.socket_dir), **(more_environment or {})}
        more["main"] = "env KFAST_SOCKET_DIR;\n" + more.get("main", "")
        started.append(Nginx(server, environment=environment, **more))
        return started[-1]

    yield start
    try:
        for each in started:
            if each.port:
                each.close()
    finally:
        for each in started:
            each.discard()
