"""A Kafka as production has it: TLS, SCRAM, and ACLs that refuse all but one topic."""

import shutil
import signal

from harness import kfastctl
from harness.daemon import Kfastd
from harness.kfast import DELIVERED, FAILED
from harness.worker import Worker


def reload(kfastd) -> None:
    mark = kfastd.mark()
    kfastd.signal(signal.SIGHUP)
    kfastd.wait_log("configuration read again and applied", since=mark)


class Load:
    """A worker that sends numbered records, slowly enough to outlive what a test does meanwhile."""

    COUNT = 24_000
    PER_SECOND = 4_000

    def __init__(self, kfastd, topic):
        self._topic = topic
        self._worker = Worker(kfastd.socket_dir, {"ring.bytes": "256k"})
        self._worker.begin("send_numbered", topic, b"p", self.COUNT, mark_at=2_000)
        self._worker.wait_mark()

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_) -> None:
        self._worker.kill()

    @property
    def goes_on(self) -> bool:
        return self._worker.accepted < self.COUNT

    def end(self, secure):
        """Waits for all reports, which must say delivered; returns the tally of the topic."""
        reports = self._worker.result()
        reports += self._worker.wait_reports(self.COUNT - len(reports))
        assert {report.outcome for report in reports} == {DELIVERED}
        return secure.witness.digest(self._topic, expected=self.COUNT).producers[b"p"]


def under_load(config) -> dict:
    return {**config, "limits": {"default": {"records_per_second": Load.PER_SECOND}}}


def test_what_kafka_refuses_fails_with_its_error_and_what_it_allows_is_delivered(
    secure, password_file
):
    unseen = secure.topic("unseen")
    seen = secure.topic("seen")
    secure.witness.allow(secure.user, ["DESCRIBE"], seen)
    before = secure.witness.count(secure.allowed)
    with Kfastd(secure.config(password_file)) as kfastd:
        with Worker(kfastd.socket_dir) as worker:
            topics = {}
            for n in range(50):
                for topic in (secure.allowed, unseen, seen):
                    topics[worker.send(topic, None, b"%d" % n)] = topic
            reports = worker.wait_reports(len(topics))
        for report in reports:
            if topics[report.position] == secure.allowed:
                assert (report.outcome, report.error) == (DELIVERED, 0)
            else:
                assert report.outcome == FAILED
                assert report.error_name == "TOPIC_AUTHORIZATION_FAILED"
        stats = kfastctl.stat(kfastd.socket_dir)
        assert stats.outcomes(secure.allowed) == {"delivered": 50}
        for topic in (unseen, seen):
            assert stats.outcomes(topic) == {"failed": 50}
            assert stats.discarded(topic) == {"auth": 50}
    assert secure.witness.count(secure.allowed) == before + 50
    assert (secure.witness.count(unseen), secure.witness.count(seen)) == (0, 0)


def test_an_acl_that_comes_lets_the_next_records_through(secure, password_file):
    topic = secure.topic("acl-comes")
    with Kfastd(secure.config(password_file)) as kfastd, Worker(kfastd.socket_dir) as worker:
        assert worker.send_wait(topic, None, b"0").outcome == FAILED
        secure.witness.allow(secure.user, ["WRITE"], topic)
        # librdkafka asks again for what it was refused, but not for each record.
        for _ in range(100_000):
            if worker.send_wait(topic, None, b"1").outcome == DELIVERED:
                break
    assert secure.witness.count(topic) == 1


def test_a_password_that_changes_under_load_is_taken_in_place_and_nothing_is_lost(
    secure, password_file
):
    topic = secure.writable("new-password")
    with Kfastd(under_load(secure.config(password_file))) as kfastd:
        with Load(kfastd, topic) as load:
            for word in ("second-Pa55word", "third-Pa55word"):
                secure.set_password(word)
                password_file.write_text(word)
                reload(kfastd)
            secure.stop(1)
            assert load.goes_on
            secure.start(1)
            tally = load.end(secure)
        stats = kfastctl.stat(kfastd.socket_dir)
        assert stats.value("kfast_resubmitted_messages_total") == 0
        assert "producer replaced" not in kfastd.log_text()
    assert (tally.missing, tally.out_of_order, tally.duplicates, tally.unexpected) == (0,) * 4


def test_a_new_password_reaches_each_of_the_producers_that_many_topics_have(secure, password_file):
    first, other = secure.writable("first-producer"), secure.writable("other-producer")
    # One that may not be written has its place, too.
    between = [f"not-allowed-{n}" for n in range(124)]
    with Kfastd(secure.config(password_file)) as kfastd, Worker(kfastd.socket_dir) as worker:
        records = [{"topic": name, "value": b"1"} for name in [first, *between, other]]
        assert len(worker.send_batch(first, records)) == len(records)
        worker.wait_reports(len(records))
        assert kfastctl.stat(kfastd.socket_dir).value("kfast_profile_producers") == 2
        secure.set_password("fifth-Pa55word")
        password_file.write_text("fifth-Pa55word")
        reload(kfastd)
        secure.stop(1)
        secure.start(1)
        for topic in (first, other):
            assert worker.send_wait(topic, None, b"2").outcome == DELIVERED
    for topic in (first, other):
        assert [record.value for record in secure.witness.read(topic)] == [b"1", b"2"]


def test_a_storm_of_wrong_and_right_passwords_and_a_kill_lose_nothing(secure, password_file):
    topic = secure.writable("storm")
    with Kfastd(under_load(secure.config(password_file))) as kfastd:
        with Load(kfastd, topic) as load:
            for n in range(30):
                password_file.write_text(secure.password if n % 3 == 2 else f"wrong-{n}")
                kfastd.signal(signal.SIGHUP)
                if n % 10 == 4:
                    # Wrong at the start, and new connections for the right one.
                    kfastd.kill()
                    kfastd.notify.settle()
                    kfastd.start()
            assert load.goes_on
            tally = load.end(secure)
    assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0)


def check_what_is_said_without_a_certificate(secure, password_file) -> None:
    """Of a broker that wants one. It says so only after the handshake."""
    config = secure.config(password_file, {"message.timeout.ms": 2000})
    with Kfastd(config) as kfastd, Worker(kfastd.socket_dir) as worker:
        report = worker.send_wait(secure.allowed, None, b"v")
        assert (report.outcome, report.error_name) == (FAILED, "_SSL")
        assert "SSL alert number" in worker.report_text(report)


def test_an_authority_that_is_replaced_under_load_loses_nothing(secure, password_file, tmp_path):
    topic = secure.writable("new-authority")
    former, next_one = secure.authority, secure.new_authority("second")
    ca, certificate, key = (tmp_path / name for name in ("ca.pem", "client.pem", "client.key"))

    def renew(authorities, issuer) -> None:
        ca.write_text("".join(each.certificate.read_text() for each in authorities))
        for made, place in zip(issuer.issue("client"), (certificate, key)):
            shutil.copy(made, place)

    renew([former], former)
    config = under_load(secure.config(password_file))
    config["clusters"]["main"].update(
        {
            "ssl.ca.location": str(ca),
            "ssl.certificate.location": str(certificate),
            "ssl.key.location": str(key),
        }
    )
    secure.certify(next_one, [next_one], "required")
    try:
        with Kfastd(config) as kfastd:
            with Load(kfastd, topic) as load:
                # In their places: both authorities are trusted, and the client is the next one's.
                renew([former, next_one], next_one)
                mark = kfastd.mark()
                reload(kfastd)
                kfastd.wait_log("Kafka producer replaced profile=default", since=mark)
                secure.stop(1)
                assert load.goes_on
                secure.start(1)
                # By another path.
                config["clusters"]["main"]["ssl.ca.location"] = str(next_one.certificate)
                kfastd.write_config(config)
                mark = kfastd.mark()
                reload(kfastd)
                kfastd.wait_log("Kafka producer replaced profile=default", since=mark)
                tally = load.end(secure)
            again = kfastctl.stat(kfastd.socket_dir).value("kfast_resubmitted_messages_total")
        assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0)
        assert tally.duplicates <= again
        check_what_is_said_without_a_certificate(secure, password_file)
    finally:
        secure.certify(next_one, [next_one], "none")
        secure.stop(1)
        secure.start(1)
