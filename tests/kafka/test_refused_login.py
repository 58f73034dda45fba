"""Brokers that refuse the login, or whose certificate is not trusted: why is said where one looks."""

import re
import signal

import pytest

from harness import kfastctl
from harness.daemon import Kfastd
from harness.kfast import DELIVERED, FAILED, UNKNOWN
from harness.worker import Worker

IMPATIENT = {"message.timeout.ms": 3000, "reconnect.backoff.max.ms": 500, "linger.ms": 0}


class WrongPassword:
    error, words = "_AUTHENTICATION", "SASL authentication error: Authentication failed"

    def __init__(self, secure, password_file, config):
        self._right, self._file = secure.password, password_file
        password_file.write_text("a-wr0ng-Pa55word")

    def mend(self, kfastd) -> None:
        self._file.write_text(self._right)


class UnknownAuthority:
    error, words = "_SSL", "certificate verify failed"

    def __init__(self, secure, password_file, config):
        self._config, self._right = config, str(secure.authority.certificate)
        stranger = secure.new_authority("stranger")
        config["clusters"]["main"]["ssl.ca.location"] = str(stranger.certificate)

    def mend(self, kfastd) -> None:
        self._config["clusters"]["main"]["ssl.ca.location"] = self._right
        kfastd.write_config(self._config)


@pytest.mark.parametrize("kind", [WrongPassword, UnknownAuthority])
def test_why_brokers_refuse_is_at_the_record_and_in_stat_and_in_one_line_of_the_log(
    secure, password_file, kind
):
    config = secure.config(password_file, IMPATIENT)
    wrong = kind(secure, password_file, config)
    with Kfastd(config) as kfastd, Worker(kfastd.socket_dir) as worker:
        for _ in range(10):
            worker.send(secure.allowed, None, b"v")
        reports = worker.wait_reports(10)
        for report in reports:
            assert (report.outcome, report.error_name) == (FAILED, wrong.error)
            text = worker.report_text(report)
            assert text.startswith(f"{wrong.error}: sasl_ssl://{secure.secure_bootstrap}")
            assert wrong.words in text
        shown = kfastctl.run(kfastd.socket_dir, "stat").stdout.decode()
        assert re.search(
            r"last_error cluster=main profile=default: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ sasl_ssl://.*"
            + wrong.words,
            shown,
        ), shown
        assert len([line for line in kfastd.log_lines() if wrong.words in line]) == 1
        assert "brokers are down" not in kfastd.log_text()
        wrong.mend(kfastd)
        kfastd.signal(signal.SIGHUP)
        kfastd.wait_log("configuration read again and applied")
        # While it tries the next time, records may still run out of time.
        while worker.send_wait(secure.allowed, None, b"v").outcome != DELIVERED:
            pass
        assert len([line for line in kfastd.log_lines() if wrong.words in line]) <= 2


def test_a_user_who_may_write_nothing_is_told_so_at_the_record_and_in_one_line_of_the_log(
    secure, password_file
):
    topic, user = secure.topic("described"), "user2"
    secure.witness.set_password(user, "pa55word-of-user2")
    secure.witness.allow(user, ["DESCRIBE"], topic)
    password_file.write_text("pa55word-of-user2")
    config = secure.config(password_file, IMPATIENT)
    config["clusters"]["main"]["sasl.username"] = user
    words = "Failed to acquire idempotence PID"
    with Kfastd(config) as kfastd, Worker(kfastd.socket_dir) as worker:
        report = worker.send_wait(topic, None, b"refused")
        # To librdkafka it is a fatal error, so its producer was replaced and nothing is certain.
        assert report.outcome == UNKNOWN
        assert worker.report_text(report).startswith("CLUSTER_AUTHORIZATION_FAILED: " + words)
        assert len([line for line in kfastd.log_lines() if words in line]) == 1
        secure.witness.allow(user, ["WRITE"], topic)
        while worker.send_wait(topic, None, b"allowed").outcome != DELIVERED:
            pass
    assert [record.value for record in secure.witness.read(topic, count=1)] == [b"allowed"]
