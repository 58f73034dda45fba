"""Fixtures for tests under a real systemd; tools/test --stage systemd boots one and runs them in it."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))

from harness.daemon import config_for  # noqa: E402
from harness.kafka_cluster import KafkaCluster  # noqa: E402
from harness.process import log_tails  # noqa: E402
from harness.witness import Witness  # noqa: E402

from service import Service  # noqa: E402


def pytest_configure(config):
    asked = subprocess.run(
        ["systemctl", "show", "--property=Version"], stdout=subprocess.PIPE, check=False
    )
    if asked.returncode != 0:
        raise pytest.UsageError("no systemd runs here: use  tools/test --stage systemd")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for name, lines in log_tails():
            report.sections.append((f"log of {name}", lines))


@pytest.fixture(scope="session")
def kafka():
    """One Kafka broker for the whole run. A test that pauses it resumes it."""
    witness = Witness()
    with KafkaCluster(witness, nodes=1) as cluster:
        yield cluster
    witness.close()


@pytest.fixture
def paused(kafka):
    """Pauses the broker when called; it runs again at the test's end at the latest."""
    try:
        yield lambda: kafka.pause(1)
    finally:
        kafka.resume(1)


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
