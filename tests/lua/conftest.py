"""Fixtures for tests of resty.kfast in a real nginx, with a real kfastd and Kafka."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))

from harness.daemon import Kfastd, config_for  # noqa: E402
from harness.kafka_cluster import KafkaCluster  # noqa: E402
from harness.process import log_tails  # noqa: E402
from harness.witness import Witness  # noqa: E402

from nginx import Nginx  # noqa: E402


def pytest_configure(config):
    # So that fixtures are torn down when the run is told to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for name, lines in log_tails():
            report.sections.append((f"log of {name}", lines))


@pytest.fixture(scope="session")
def witness():
    """The independent reader's JVM."""
    witness = Witness()
    yield witness
    witness.close()


@pytest.fixture(scope="session")
def kafka(witness):
    """One Kafka broker for the whole run."""
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
    """kfastd with its defaults, new for each test; must end cleanly."""
    with Kfastd(config_for(kafka.bootstrap)) as daemon:
        yield daemon


@pytest.fixture
def nginx(kfastd):
    """`nginx(server, …)` starts one that finds `kfastd`; all are ended, and their logs checked."""
    started = []

    def start(server="", **more):
        environment = {"KFAST_SOCKET_DIR": str(kfastd.socket_dir)}
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
