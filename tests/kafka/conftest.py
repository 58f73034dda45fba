"""Fixtures for tests of the whole product on real Apache Kafka."""

import resource
import signal

import pytest

from harness.daemon import Kfastd, config_for
from harness.kafka_cluster import KafkaCluster
from harness.process import log_tails
from harness.witness import Witness


def pytest_configure(config):
    # So that fixtures are torn down when the run is told to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # As LimitNOFILE= does: some tests have hundreds of channels.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for name, lines in log_tails():
            report.sections.append((f"log of {name}", lines))


@pytest.fixture(scope="session")
def witness():
    """The independent reader's JVM, for every cluster of the run."""
    witness = Witness()
    yield witness
    witness.close()


@pytest.fixture(scope="session")
def kafka(witness):
    """One Kafka broker for the whole run. Tests take topics of their own (`kafka.topic()`) and
    leave it up.
    """
    with KafkaCluster(witness, nodes=1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def kafka3(witness):
    """Three Kafka brokers for one test file. A test that takes a node down brings it back."""
    with KafkaCluster(witness, nodes=3) as cluster:
        yield cluster


@pytest.fixture
def paused(kafka):
    """Pauses the broker when called; it runs again at the test's end at the latest."""
    try:
        yield lambda: kafka.pause(1)
    finally:
        kafka.resume(1)


@pytest.fixture
def kfastd(kafka):
    """kfastd on the one-broker Kafka with its defaults, new for each test; must end cleanly."""
    with Kfastd(config_for(kafka.bootstrap)) as daemon:
        yield daemon


@pytest.fixture
def kept(kafka):
    """kfastd under a store like systemd's."""
    with Kfastd(config_for(kafka.bootstrap), fd_store=True) as daemon:
        yield daemon
