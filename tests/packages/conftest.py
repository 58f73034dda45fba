"""Fixtures for tests of the packages, in a Debian of their own; tools/install-test boots one and runs them in it."""

import os
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS / "kafka"), str(_TESTS / "systemd")]

from harness.kafka_cluster import KafkaCluster  # noqa: E402
from harness.process import log_tails  # noqa: E402
from harness.witness import Witness  # noqa: E402

from host import Host  # noqa: E402


def pytest_configure(config):
    if "KFAST_PACKAGES" not in os.environ:
        raise pytest.UsageError("no packages to install here: use  tools/install-test")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for name, lines in log_tails():
            report.sections.append((f"log of {name}", lines))


@pytest.fixture(scope="session")
def kafka():
    """One Kafka broker for the whole run."""
    witness = Witness()
    with KafkaCluster(witness, nodes=1) as cluster:
        yield cluster
    witness.close()


@pytest.fixture
def host():
    """A Debian on which kfast is not installed; afterwards it is not, either."""
    host = Host()
    yield host
    host.purge()
