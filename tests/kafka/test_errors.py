"""Bad input: an error that names the cause and the cure, counted; nothing lost, nothing crashed."""

import os
import random
import re
import subprocess
import time

import pytest

from harness import kfastctl, paths, toml
from harness.daemon import Kfastd, check_config, config_for, default_binary
from harness.kfast import (
    DELIVERED,
    FAILED,
    INVALID,
    NO_DAEMON,
    PERMISSION,
    QUEUE_FULL,
    TIMED_OUT,
    TOO_LARGE,
    TOO_MANY_HEADERS,
    TOO_MANY_TOPICS,
    TOPIC_NAME,
    TOPIC_NOT_ALLOWED,
    UNKNOWN,
    UNKNOWN_OPTION,
    UNKNOWN_PROFILE,
    KfastError,
    Producer,
)
from harness.ports import free_ports, release_ports
from harness.process import temporary_directory
from harness.refusals import code_of, report_of
from harness.worker import Worker

# Somebody who is neither this user nor the overflow uid.
STRANGER = 12345


@pytest.fixture(scope="module")
def shared(kafka):
    """kfastd for the tests of this file that leave it as it is."""
    profiles = {"impatient": {"topic.metadata.propagation.max.ms": 500, "linger.ms": 0}}
    with Kfastd(config_for(kafka.bootstrap, profiles=profiles)) as daemon:
        yield daemon


@pytest.fixture
def producer(shared):
    with Producer(shared.socket_dir) as producer:
        yield producer


# Opening


def test_without_kfastd_the_socket_and_the_cure_are_named():
    directory = temporary_directory("nobody")
    match = rf"{directory}/kfastd\.sock .*start it with `systemctl start kfastd`"
    assert code_of(Producer, directory, match=match) == NO_DAEMON
    assert code_of(Producer, directory / "none", match="start it with") == NO_DAEMON


def test_after_a_killed_kfastd_the_cure_is_the_same(kafka):
    with Kfastd(config_for(kafka.bootstrap)) as daemon:
        daemon.kill()
        assert code_of(Producer, daemon.socket_dir, match="systemctl start kfastd") == NO_DAEMON


def test_the_environment_says_where_the_sockets_are(shared):
    done = kfastctl.run("/nowhere", "stat", "--once", env={"KFAST_SOCKET_DIR": "/elsewhere"})
    assert done.returncode == 1 and b"/nowhere" in done.stderr
    environment = {**os.environ, "KFAST_SOCKET_DIR": str(shared.socket_dir)}
    done = subprocess.run(
        [paths.built("tools/kfastctl/kfastctl"), "health"], env=environment, check=False
    )
    assert done.returncode == 0


def test_a_socket_that_may_not_be_opened_says_so(kafka):
    with Kfastd(config_for(kafka.bootstrap, socket_mode="0600")) as daemon:
        match = r"may not open kfastd's socket .*kfastd\.sock .*mode and group"
        assert code_of(Worker, daemon.socket_dir, uid=STRANGER, match=match) == PERMISSION


def test_a_user_without_a_rule_is_refused_and_counted(kafka):
    topic = kafka.topic("stranger")
    config = config_for(kafka.bootstrap)
    with Kfastd(config) as daemon:
        match = rf"no \[\[allow\]\] rule of kfastd\.toml covers user .*{STRANGER}.*: add one"
        assert code_of(Worker, daemon.socket_dir, uid=STRANGER, match=match) == PERMISSION
        stats = kfastctl.stat(daemon.socket_dir)
        assert stats.value("kfast_sessions_refused_total", reason="permission") == 1
        daemon.wait_log(rf"session refused: no \[\[allow\]\] rule .*uid={STRANGER}")
    config["allow"].append({"uid": STRANGER, "produce": [topic]})
    with Kfastd(config) as daemon, Worker(daemon.socket_dir, uid=STRANGER) as worker:
        worker.send(topic, None, b"v")
        assert [report.outcome for report in worker.wait_reports(1)] == [DELIVERED]
    assert kafka.witness.count(topic) == 1


def test_an_unknown_profile_names_those_that_there_are(shared):
    before = kfastctl.stat(shared.socket_dir)
    match = r'no profile "ghost" \(it has: default, impatient\): add \[profiles\.ghost\]'
    assert code_of(Producer, shared.socket_dir, profile="ghost", match=match) == UNKNOWN_PROFILE
    name, reason = "kfast_channels_refused_total", "unknown_profile"
    after = kfastctl.stat(shared.socket_dir)
    assert after.value(name, reason=reason) == before.value(name, reason=reason) + 1


@pytest.mark.parametrize(
    "name, value, code, match",
    [
        ("ring.byte", "4m", UNKNOWN_OPTION, 'nearest is "ring.bytes"'),
        ("reprots", "all", UNKNOWN_OPTION, 'nearest is "reports"'),
        ("ring.bytes", "5000", INVALID, "ring.bytes"),
        ("ring.bytes", "2k", INVALID, "ring.bytes"),
        ("ring.bytes", "2g", INVALID, "ring.bytes"),
        ("ring.bytes", "", INVALID, "ring.bytes"),
        ("ring.bytes", "4x", INVALID, "ring.bytes"),
        ("report.bytes", "-1", INVALID, "report.bytes"),
        ("topics", "0", INVALID, "topics"),
        ("topics", "32769", INVALID, "topics"),
        ("reports", "some", INVALID, "reports"),
        ("connect.timeout.ms", "soon", INVALID, "connect.timeout.ms"),
    ],
)
def test_a_bad_option_is_named(shared, name, value, code, match):
    assert code_of(Producer, shared.socket_dir, {name: value}, match=match) == code


# The configuration

GOOD = config_for("127.0.0.1:9092")


def changed(**sections) -> dict:
    config = {**GOOD}
    for section, values in sections.items():
        config[section] = values
    return config


def with_property(name, value) -> dict:
    return changed(profiles={"default": {"cluster": "main", name: value}})


BAD_CONFIGURATIONS = {
    "unknown key": (
        changed(daemon={"sockt_dir": "/x"}),
        r"kfastd\.toml:\d+:\d+: unknown key 'sockt_dir' .*did you mean 'socket_dir'",
    ),
    "unknown limit": (
        changed(limits={"default": {"sesions": 1}}),
        r"unknown key 'sesions' .*did you mean 'sessions'",
    ),
    "unknown property": (
        with_property("linger.mss", 5),
        r"knows no property 'linger\.mss' \(did you mean 'linger\.ms'\?\)",
    ),
    "reserved property": (
        with_property("transactional.id", "x"),
        r"'transactional\.id' is reserved: .*\(take it out\)",
    ),
    "bad number": (with_property("linger.ms", "soon"), r"librdkafka refuses 'linger\.ms': "),
    "bad word": (
        with_property("compression.type", "zip"),
        r"librdkafka refuses 'compression\.type': Invalid value \"zip\"",
    ),
    "unknown cluster": (
        changed(profiles={"default": {"cluster": "moon"}}),
        r"profile 'default' is on the unknown cluster 'moon' \(",
    ),
    "value out of range": (changed(limits={"default": {"ring_bytes": 1}}), r"ring_bytes.*65536"),
    "not TOML": ("[daemon\n", r"kfastd\.toml:1:\d+: .*not TOML"),
    "no cluster": ("", r"there is no cluster \(add \[clusters\.main\]"),
}


@pytest.mark.parametrize("case", BAD_CONFIGURATIONS)
def test_a_bad_configuration_is_refused_by_name(case):
    config, match = BAD_CONFIGURATIONS[case]
    done = check_config(config)
    assert done.returncode == 1
    assert "error(s); kfastd would not start" in done.stdout
    assert re.search(match, done.stdout), done.stdout
    # It does not start with it, either, and says the same.
    with pytest.raises(RuntimeError, match=match):
        Kfastd(config)


def test_check_config_takes_the_file_by_itself():
    directory = temporary_directory("config")
    file = directory / "kfastd.toml"
    file.write_text(toml.dumps(GOOD))
    for arguments in (["--check-config", file], ["--config", file, "--check-config"]):
        done = subprocess.run(
            [default_binary(), *arguments], text=True, stdout=subprocess.PIPE, check=False
        )
        assert done.returncode == 0, done.stdout
        assert f"{file}: ok" in done.stdout
    missing = subprocess.run(
        [default_binary(), "--check-config", directory / "none.toml"],
        text=True,
        stdout=subprocess.PIPE,
        check=False,
    )
    assert missing.returncode == 1
    assert "none.toml: No such file or directory" in missing.stdout


def test_a_weak_setting_is_a_warning_that_names_the_promise():
    done = check_config(with_property("acks", 0))
    assert done.returncode == 0
    assert re.search(r"warning: .*acks", done.stdout), done.stdout


def test_a_second_kfastd_on_the_same_directory_is_refused(kafka, shared):
    match = rf"another kfastd \(pid {shared.pid}\) uses {shared.socket_dir}: stop it, or choose"
    with pytest.raises(RuntimeError, match=match):
        Kfastd(config_for(kafka.bootstrap), socket_dir=shared.socket_dir)
    with Producer(shared.socket_dir):
        pass


# Records


def test_a_record_larger_than_the_ring_allows_is_refused(kafka, shared):
    topic = kafka.topic("ring-limit")
    with Producer(shared.socket_dir, {"ring.bytes": "64k"}) as producer:
        match = "more than a quarter of the ring, which is 16384: raise ring.bytes"
        assert code_of(producer.send, topic, None, b"x" * 20_000, match=match) == TOO_LARGE
        producer.send(topic, None, b"fits")
        producer.flush()
    assert [record.value for record in kafka.witness.read(topic)] == [b"fits"]


def test_a_record_larger_than_the_profile_accepts_is_refused(kafka, producer):
    topic = kafka.topic("profile-limit")
    match = "raise its message.max.bytes"
    # The default of message.max.bytes is 1,000,000.
    assert code_of(producer.send, topic, b"k", b"x" * 1_000_000, match=match) == TOO_LARGE
    headers = [("h", b"x" * 500_000), ("h", b"x" * 500_000)]
    assert code_of(producer.send_record, topic, headers=headers, match=match) == TOO_LARGE
    assert kafka.witness.count(topic) == 0


def test_a_record_larger_than_the_topic_accepts_is_reported(kafka, shared, producer):
    topic = kafka.topic("topic-limit", configs={"max.message.bytes": 1000})
    report = report_of(producer, producer.send(topic, None, random.Random(1).randbytes(5000)))
    assert (report.outcome, report.error_name) == (FAILED, "MSG_SIZE_TOO_LARGE")
    producer.send(topic, None, b"fits")
    assert producer.wait_reports(1)[0].outcome == DELIVERED
    stats = kfastctl.stat(shared.socket_dir)
    assert stats.outcomes(topic) == {"delivered": 1, "failed": 1}
    assert stats.discarded(topic) == {"too_large": 1}


def test_more_headers_than_fit_are_refused(kafka, producer):
    topic = kafka.topic("headers")
    match = "1025 headers: at most 1024"
    many = [("h", b"")] * 1025
    assert code_of(producer.send_record, topic, headers=many, match=match) == TOO_MANY_HEADERS
    long = [("n" * 32768, b"")]
    match = "32768 bytes: at most 32767"
    assert code_of(producer.send_record, topic, headers=long, match=match) == TOO_MANY_HEADERS


def test_bad_arguments_are_named(kafka, producer):
    topic = kafka.topic("arguments")
    for named, match in (
        (dict(partition=-2), "partition -2"),
        (dict(timestamp=-2), "timestamp_ms -2"),
        (dict(timestamp=0), "timestamp_ms 0"),
    ):
        assert code_of(producer.send_record, topic, value=b"v", match=match, **named) == INVALID
    assert code_of(producer.send, 77, None, b"v", match="no topic number 77") == INVALID
    producer.flush()
    assert kafka.witness.count(topic) == 0


def test_a_timestamp_in_the_far_future_fails_alone(kafka, shared, producer):
    topic = kafka.topic("future")
    ahead = int(time.time() * 1000) + 24 * 3600 * 1000
    producer.send(topic, None, b"before")
    late = producer.send_record(topic, value=b"late", timestamp=ahead)
    producer.send(topic, None, b"after")
    reports = {report.position: report for report in producer.wait_reports(3)}
    assert reports[late].outcome == FAILED and reports[late].error_name == "INVALID_TIMESTAMP"
    assert [record.value for record in kafka.witness.read(topic)] == [b"before", b"after"]
    stats = kfastctl.stat(shared.socket_dir)
    assert stats.outcomes(topic) == {"delivered": 2, "failed": 1}
    assert stats.discarded(topic) == {"invalid": 1}
    assert stats.value("kfast_produce_refused_messages_total", topic=topic) == 1


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "größe", "x" * 250, "a/b"])
def test_an_illegal_topic_name_is_refused(producer, name):
    assert code_of(producer.topic, name, match="not a legal topic name") == TOPIC_NAME


def test_a_channel_has_as_many_topics_as_it_asked_for(shared):
    with Producer(shared.socket_dir, topics=2) as producer:
        assert [producer.topic("a"), producer.topic("b"), producer.topic("a")] == [0, 1, 0]
        match = "table of 2 topics is full: raise the option topics"
        assert code_of(producer.topic, "c", match=match) == TOO_MANY_TOPICS


def test_a_topic_that_is_not_allowed_is_reported_then_refused(kafka):
    allowed, forbidden = kafka.topic("mine"), kafka.topic("theirs")
    with Kfastd(config_for(kafka.bootstrap, produce=("mine-*",))) as daemon:
        with Producer(daemon.socket_dir) as producer:
            report = report_of(producer, producer.send(forbidden, None, b"v"))
            assert (report.outcome, report.error_name) == (FAILED, "TOPIC_AUTHORIZATION_FAILED")
            match = rf'no \[\[allow\]\] rule .*"{forbidden}"; add it to `produce`'
            code = code_of(producer.send, forbidden, None, b"v", match=match)
            assert code == TOPIC_NOT_ALLOWED
            producer.send(allowed, None, b"v")
            assert producer.wait_reports(1)[0].outcome == DELIVERED
        stats = kfastctl.stat(daemon.socket_dir)
        assert stats.outcomes(forbidden) == {"failed": 1}
        assert stats.discarded(forbidden) == {"not_allowed": 1}
        assert stats.value("kfast_produce_refused_messages_total", topic=forbidden) == 1
        daemon.wait_log(rf"topic refused principal=.* topic={forbidden}: no \[\[allow\]\] rule")
    assert kafka.witness.count(forbidden) == 0 and kafka.witness.count(allowed) == 1


@pytest.mark.parametrize("known", [False, True], ids=["first use", "known topic"])
def test_a_partition_that_does_not_exist_is_reported(kafka, shared, producer, known):
    topic = kafka.topic("partitions", partitions=2)
    if known:
        producer.send_record(topic, value=b"v", partition=1)
        assert producer.wait_reports(1)[0].outcome == DELIVERED
    sent = [producer.send_record(topic, value=b"v", partition=99) for _ in range(50)]
    producer.flush()
    reports = producer.reports()
    # Not in order: librdkafka refuses some at once and fails those that waited for metadata.
    assert sorted(report.position for report in reports) == sent
    assert {(report.outcome, report.error_name) for report in reports} == {
        (FAILED, "_UNKNOWN_PARTITION")
    }
    assert producer.used_bytes() == 0
    stats = kfastctl.stat(shared.socket_dir)
    assert stats.discarded(topic) == {"unknown_partition": 50}
    assert stats.outcomes(topic).get("delivered", 0) == known == kafka.witness.count(topic)


def test_a_topic_that_does_not_exist_is_reported(shared):
    with Producer(shared.socket_dir, profile="impatient") as producer:
        sent = [producer.send("never-created", None, b"v") for _ in range(10)]
        producer.flush()
        reports = producer.reports()
    assert sorted(report.position for report in reports) == sent
    assert {report.outcome for report in reports} == {FAILED}
    assert {report.error_name for report in reports} <= {"_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART"}
    stats = kfastctl.stat(shared.socket_dir)
    assert stats.outcomes("never-created") == {"failed": 10}
    assert stats.discarded("never-created") == {"unknown_topic": 10}


def test_a_record_whose_time_is_over_is_reported(kafka):
    (port,) = free_ports(1)
    try:
        config = config_for(f"127.0.0.1:{port}", {"message.timeout.ms": 500, "linger.ms": 0})
        with Kfastd(config) as daemon, Producer(daemon.socket_dir) as producer:
            sent = [producer.send("t", None, b"v") for _ in range(10)]
            reports = producer.wait_reports(10)
            assert sorted(report.position for report in reports) == sent
            assert {(r.outcome, r.error_name) for r in reports} == {(FAILED, "_MSG_TIMED_OUT")}
            stats = kfastctl.stat(daemon.socket_dir)
            assert stats.outcomes("t") == {"failed": 10}
            assert stats.discarded("t") == {"timed_out": 10}
    finally:
        release_ports([port])


def test_a_request_without_an_answer_is_reported_unknown(kafka, paused):
    topic = kafka.topic("unknown")
    properties = {"message.timeout.ms": 1000, "socket.timeout.ms": 900, "linger.ms": 0}
    with Kfastd(config_for(kafka.bootstrap, properties)) as daemon:
        with Producer(daemon.socket_dir) as producer:
            producer.send(topic, None, b"warm")
            assert producer.wait_reports(1)[0].outcome == DELIVERED
            paused()
            report = report_of(producer, producer.send(topic, None, b"v"))
            assert report.outcome == UNKNOWN
            stats = kfastctl.stat(daemon.socket_dir)
            assert stats.outcomes(topic) == {"delivered": 1, "unknown": 1}
            kafka.resume(1)


# Back-pressure


def test_a_full_ring_refuses_and_everything_accepted_is_delivered(kafka, shared, paused):
    topic = kafka.topic("full")
    with Worker(shared.socket_dir, {"ring.bytes": "64k"}) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        paused()
        count = 1
        with pytest.raises(KfastError, match="the ring is full .*raise ring.bytes") as full:
            while True:
                worker.send(topic, None, b"%d" % count + b"." * 500)
                count += 1
        assert full.value.code == QUEUE_FULL and count > 100
        late = b"%d" % count + b"." * 500
        match = "the ring is full"
        code = code_of(worker.send_record, topic, value=late, timeout_ms=100, match=match)
        assert code == TIMED_OUT
        worker.begin("send_record", topic, value=late, timeout_ms=-1)
        kafka.resume(1)
        worker.result()
        worker.wait_reports(count)
        assert worker.used_bytes() == 0
    values = [int(record.value.split(b".")[0]) for record in kafka.witness.read(topic)]
    assert values == list(range(count + 1))
    assert kfastctl.stat(shared.socket_dir).outcomes(topic) == {"delivered": count + 1}


def test_reports_that_are_not_read_stop_only_their_worker(kafka, shared, producer):
    topic = kafka.topic("unread")
    with Producer(shared.socket_dir, {"ring.bytes": "64k", "report.bytes": "4k"}) as lazy:
        sent, full_after_flush = 0, False
        while not full_after_flush:
            accepted = 0
            try:
                while True:
                    lazy.send(topic, b"lazy", b"%d" % sent)
                    sent, accepted = sent + 1, accepted + 1
            except KfastError as error:
                assert error.code == QUEUE_FULL
                assert "read the reports with kfast_reports" in error.message
            lazy.flush()
            full_after_flush = accepted == 0
        # It is not waited for in vain, either.
        with pytest.raises(KfastError) as full:
            lazy.send_record(topic, key=b"lazy", value=b"x", timeout_ms=-1)
        assert full.value.code == QUEUE_FULL
        producer.send(topic, b"other", b"v")
        assert producer.wait_reports(1)[0].outcome == DELIVERED
        assert len(lazy.reports()) == sent
        lazy.send(topic, b"lazy", b"%d" % sent)
        assert lazy.wait_reports(1)[0].outcome == DELIVERED
    values = [record.value for record in kafka.witness.read(topic) if record.key == b"lazy"]
    assert values == [b"%d" % n for n in range(sent + 1)]


def test_a_topic_in_trouble_leaves_room_for_the_others(kafka):
    good = kafka.topic("good")
    with Kfastd(config_for(kafka.bootstrap, {"linger.ms": 0})) as daemon:
        with Producer(daemon.socket_dir, {"ring.bytes": "64k"}) as producer:
            producer.send(good, None, b"0")
            producer.wait_reports(1)
            sent = 1
            # librdkafka waits for this topic for the time that topics may take to spread.
            with pytest.raises(KfastError, match="holds its whole share of the ring") as full:
                while True:
                    producer.send("in-trouble", None, b"x" * 400)
                    # Its report says that kfastd has taken the record before it, too.
                    producer.send(good, None, b"%d" % sent)
                    assert producer.wait_reports(1)[0].outcome == DELIVERED
                    sent += 1
            assert full.value.code == QUEUE_FULL
            producer.send(good, None, b"%d" % sent)
            assert producer.wait_reports(1)[0].outcome == DELIVERED
    values = [record.value for record in kafka.witness.read(good)]
    assert values == [b"%d" % n for n in range(sent + 1)]
