"""Fixtures for tests that kill; they need a build with KFAST_KILL_POINTS."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))

from harness.daemon import config_for  # noqa: E402
from harness.fixtures import (  # noqa: E402, F401
    end_on_sigterm,
    paused,
    pytest_runtest_makereport,
    witness,
)
from harness.kafka_cluster import KafkaCluster  # noqa: E402
from harness.slow_proxy import SlowProxy  # noqa: E402

from lives import Lives  # noqa: E402
from oracle import table  # noqa: E402
from scene import Scene  # noqa: E402

_verdicts = []


def pytest_configure(config):
    end_on_sigterm()


def pytest_terminal_summary(terminalreporter):
    if _verdicts:
        terminalreporter.section("verdicts of the oracle")
        terminalreporter.write_line(table(_verdicts))


@pytest.fixture(scope="session")
def proxy():
    """What a client goes through that is to get the answers of `kafka` late."""
    with SlowProxy() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def kafka(witness, proxy):
    """One Kafka broker for the whole run. A test that pauses it resumes it."""
    with KafkaCluster(witness, nodes=1, proxies=(proxy.port,)) as cluster:
        proxy.forward_to(cluster.behind_proxy(1))
        yield cluster


@pytest.fixture(scope="module")
def three_brokers(witness):
    """Three Kafka brokers for one test file. What a deleted topic held stays on their disks."""
    keep = {"log.segment.delete.delay.ms": 3_600_000}
    with KafkaCluster(witness, nodes=3, properties=keep) as cluster:
        yield cluster


@pytest.fixture
def kafka3(three_brokers):
    """The three brokers; whatever a test does to them, at its end all run again."""
    yield three_brokers
    for node in three_brokers.nodes:
        if three_brokers.running(node):
            three_brokers.resume(node)
        else:
            three_brokers.start(node, wait=False)
    three_brokers.wait_nodes(three_brokers.nodes, timeout=180)


@pytest.fixture
def verdicts():
    """What the summary at the end shows."""
    return _verdicts


@pytest.fixture
def scene(kafka, request):
    """A topic, workers and kfastds of one test, for the oracle. `scene(environment)` starts it."""
    yield from _scenes(kafka, request.node.name)


@pytest.fixture
def scene3(kafka3, request):
    """As `scene`, on three brokers."""
    yield from _scenes(kafka3, request.node.name)


def _scenes(kafka, name):
    opened = []

    def start(
        properties=None, keeps=False, profiles=None, bootstrap=None, topic=None, **environment
    ) -> Scene:
        config = config_for(bootstrap or kafka.bootstrap, properties, profiles)
        lives = Lives(config, keeps, **environment)
        opened.append(Scene(name, kafka, lives, _verdicts, topic))
        return opened[-1]

    yield start
    for each in opened:
        each.end()
