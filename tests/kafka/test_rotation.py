"""Passwords that change: read again on SIGHUP, by a Kafka producer that takes the former's place."""

import signal

import pytest

from harness.daemon import Kfastd, config_for
from harness.kafka_cluster import KafkaCluster
from harness.kfast import DELIVERED
from harness.worker import Worker

LOGINS = {"first": "pw-of-first", "second": "pw-of-second"}


@pytest.fixture(scope="module")
def guarded(witness):
    """A broker that wants a login."""
    with KafkaCluster(witness, nodes=1, logins=LOGINS) as cluster:
        yield cluster


@pytest.fixture
def login_file(tmp_path):
    return tmp_path / "password"


def config_of(guarded, user, login_file) -> dict:
    config = config_for(guarded.login_bootstrap)
    config["clusters"]["main"].update(
        {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": user,
            "sasl.password": {"file": str(login_file)},
        }
    )
    return config


def reload(kfastd) -> None:
    mark = kfastd.mark()
    kfastd.signal(signal.SIGHUP)
    kfastd.wait_log("configuration read again and applied", since=mark)


def test_a_wrong_password_is_in_the_log_and_the_right_one_delivers_what_waits(
    guarded, login_file
):
    topic = guarded.topic("wrong-password")
    login_file.write_text("wrong\n")
    with Kfastd(config_of(guarded, "first", login_file)) as kfastd:
        with Worker(kfastd.socket_dir) as worker:
            for n in range(100):
                worker.send(topic, None, b"%d" % n)
            kfastd.wait_log("Kafka error profile=default .*Authentication")
            login_file.write_text(LOGINS["first"] + "\n")
            reload(kfastd)
            assert {each.outcome for each in worker.wait_reports(100)} == {DELIVERED}
        assert LOGINS["first"] not in kfastd.log_text()
    values = [each.value for each in guarded.witness.read(topic, count=100)]
    assert values == [b"%d" % n for n in range(100)]


def test_another_login_under_load_loses_nothing_and_keeps_the_order(guarded, login_file):
    topic, count = guarded.topic("rotated"), 60_000
    login_file.write_text(LOGINS["first"])
    with Kfastd(config_of(guarded, "first", login_file)) as kfastd:
        with Worker(kfastd.socket_dir, {"ring.bytes": "256k"}) as worker:
            worker.begin("send_numbered", topic, b"p", count, mark_at=10_000)
            worker.wait_mark()
            login_file.write_text(LOGINS["second"])
            kfastd.write_config(config_of(guarded, "second", login_file))
            reload(kfastd)
            kfastd.wait_log("Kafka producer replaced profile=default")
            reports = worker.result()
            reports += worker.wait_reports(count - len(reports))
        assert all(report.outcome == DELIVERED for report in reports)
    tally = guarded.witness.digest(topic, expected=count).producers[b"p"]
    assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0), tally
