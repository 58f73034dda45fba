"""Fixtures for tests of kfastd and workers in different namespaces, as containers have them. They
need root.
"""

import contextlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))

from harness.daemon import Kfastd, config_for  # noqa: E402
from harness.fixtures import end_on_sigterm, pytest_runtest_makereport  # noqa: E402, F401
from harness.kfast import DELIVERED  # noqa: E402
from harness.mock_broker import MockBroker  # noqa: E402

from place import WORKER_USER  # noqa: E402

TOPIC = "orders"


def pytest_configure(config):
    end_on_sigterm()


@pytest.fixture(scope="session")
def broker():
    with MockBroker() as broker:
        broker.topic(TOPIC)
        yield broker


@pytest.fixture
def config(broker):
    config = config_for(broker.bootstrap)
    config["allow"].append({"uid": WORKER_USER, "produce": [TOPIC]})
    return config


@pytest.fixture
def kfastd(config):
    with Kfastd(config) as daemon:
        yield daemon


@pytest.fixture
def delivers():
    """Whether a record that a worker sends now is delivered; it raises where it is not."""

    def delivers(worker) -> bool:
        worker.send(TOPIC, None, b"v")
        return [report.outcome for report in worker.wait_reports(1)] == [DELIVERED]

    return delivers


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack
