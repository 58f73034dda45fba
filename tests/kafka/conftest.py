"""Fixtures for tests of the whole product on real Apache Kafka."""

import resource

import pytest

from harness.daemon import Kfastd, config_for
from harness.fixtures import (  # noqa: F401
    end_on_sigterm,
    kafka,
    kfastd,
    paused,
    pytest_runtest_makereport,
    witness,
)
from harness.kafka_cluster import KafkaCluster
from harness.secure_kafka import SecureKafka


def pytest_configure(config):
    end_on_sigterm()
    # As LimitNOFILE= does: some tests have hundreds of channels.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@pytest.fixture(scope="module")
def kafka3(witness):
    """Three Kafka brokers for one test file. A test that takes a node down brings it back."""
    with KafkaCluster(witness, nodes=3) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def secure(witness):
    """One Kafka with SASL_SSL, SCRAM and ACLs, for all test files that need one."""
    with SecureKafka(witness) as cluster:
        yield cluster


@pytest.fixture
def password_file(secure, tmp_path):
    """A file with the password that user1 has at the test's start."""
    file = tmp_path / "password"
    file.write_text(secure.password + "\n")
    return file


@pytest.fixture
def kept(kafka):
    """kfastd under a store like systemd's."""
    with Kfastd(config_for(kafka.bootstrap), fd_store=True) as daemon:
        yield daemon
