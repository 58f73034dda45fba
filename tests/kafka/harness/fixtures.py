"""Fixtures and hooks that folders of tests share. A conftest.py imports those that its tests use, which makes them its own."""

import signal

import pytest

from harness.daemon import Kfastd, config_for
from harness.kafka_cluster import KafkaCluster
from harness.process import log_tails
from harness.witness import Witness


def end_on_sigterm() -> None:
    """So that fixtures are torn down when the run is told to end; for pytest_configure."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that failed shows the logs of what it ran."""
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
