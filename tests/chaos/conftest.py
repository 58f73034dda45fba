"""Fixtures for tests that kill; they need a build with KFAST_KILL_POINTS."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))

from harness.daemon import config_for  # noqa: E402
from harness.kafka_cluster import KafkaCluster  # noqa: E402
from harness.process import log_tails  # noqa: E402
from harness.witness import Witness  # noqa: E402

from lives import Lives  # noqa: E402
from oracle import table  # noqa: E402
from scene import Scene  # noqa: E402

_verdicts = []


def pytest_configure(config):
    # So that fixtures are torn down when the run is told to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for name, lines in log_tails():
            report.sections.append((f"log of {name}", lines))


def pytest_terminal_summary(terminalreporter):
    if _verdicts:
        terminalreporter.section("verdicts of the oracle")
        terminalreporter.write_line(table(_verdicts))


@pytest.fixture(scope="session")
def kafka():
    """One Kafka broker for the whole run. A test that pauses it resumes it."""
    witness = Witness()
    with KafkaCluster(witness, nodes=1) as cluster:
        yield cluster
    witness.close()


@pytest.fixture
def verdicts():
    """What the summary at the end shows."""
    return _verdicts


@pytest.fixture
def paused(kafka):
    """Pauses the broker when called; it runs again at the test's end at the latest."""
    try:
        yield lambda: kafka.pause(1)
    finally:
        kafka.resume(1)


@pytest.fixture
def scene(kafka, request):
    """A topic, workers and kfastds of one test, for the oracle. `scene(environment)` starts it."""
    opened = []

    def start(properties=None, keeps=False, **environment) -> Scene:
        lives = Lives(config_for(kafka.bootstrap, properties), keeps, **environment)
        opened.append(Scene(request.node.name, kafka, lives, _verdicts))
        return opened[-1]

    yield start
    for each in opened:
        each.end()
