"""kfastd and its workers are both killed: whoever starts kfastd has kept the segments."""

import os
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from harness import kfastctl
from harness.kept import names, numbers, of_channel, send_away, values_of, wait_empty
from harness.kfast import DELIVERED, KfastError
from harness.process import Process
from harness.raw_session import RawSession, record_frame
from harness.worker import Worker


# Both dead


def test_what_kfastd_and_worker_left_behind_is_delivered(kafka, kept):
    topic = kafka.topic("both-dead")
    with Worker(kept.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        kept.kill()
        send_away(worker, kept, topic, 999, first=1)
        worker.kill()
    kept.start()
    kept.wait_log(r"channel adopted channel=1 .*worker=gone")
    kept.wait_log("channel closed channel=1")
    assert values_of(kafka, topic, 1000) == numbers(1000)
    assert kafka.witness.count(topic) == 1000, "nothing is delivered twice"
    assert names(kept) == set()


def test_full_rings_that_kfastd_was_sending_are_delivered(kafka, paused, kept):
    topic, count = kafka.topic("full"), 1500
    with Worker(kept.socket_dir, {"ring.bytes": "256k"}) as worker:
        worker.send_numbered(topic, b"p", 1)
        worker.wait_reports(1)
        paused()
        worker.send_numbered(topic, b"p", count - 1, first=1)
        kept.kill()
        worker.kill()
    kafka.resume(1)
    kept.start()
    kept.wait_log("channel closed channel=1")
    again = kfastctl.stat(kept.socket_dir).value(
        "kfast_resubmitted_messages_total", topic=topic, reason="daemon_restart"
    )
    tally = kafka.witness.digest(topic, expected=count).producers[b"p"]
    assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0), tally
    assert tally.duplicates <= again, tally


_HUNDRED = """
import sys
from harness.kfast import Producer
run, topic = sys.argv[1:]
options = {"ring.bytes": "16k", "topics": "1"}
producers = [Producer(run, options) for _ in range(100)]
for producer in producers:
    producer.topic(topic)
print("open", flush=True)
sys.stdin.readline()
for n, producer in enumerate(producers):
    for i in range(20):
        producer.send(topic, b"%d" % n, b"%d.%d" % (n, i))
print("sent", flush=True)
sys.stdin.readline()
"""


def test_a_hundred_channels_are_delivered(kafka, kept):
    topic = kafka.topic("hundred", partitions=3)
    child = Process(
        [sys.executable, "-c", textwrap.dedent(_HUNDRED), kept.socket_dir, topic],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent)},
    )
    assert child.stdout.readline() == b"open\n"
    assert len(names(kept)) == 400
    kept.kill()
    child.stdin.write(b"\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"sent\n"
    child.kill()
    kept.start()
    for number in range(1, 101):
        kept.wait_log(f"channel closed channel={number}$")
    records = [(record.key, record.value) for record in kafka.witness.read(topic, count=2000)]
    for n in range(100):
        mine = [value for key, value in records if key == b"%d" % n]
        assert mine == [b"%d.%d" % (n, i) for i in range(20)]
    assert kafka.witness.count(topic) == 2000
    assert names(kept) == set()


# The worker lives


def test_a_worker_that_lives_takes_over_and_nothing_is_sent_twice(kafka, kept):
    topic = kafka.topic("takes-over")
    with Worker(kept.socket_dir) as worker:
        first = worker.send(topic, None, b"0")
        worker.wait_reports(1)
        kept.kill()
        send_away(worker, kept, topic, 499, first=1)
        kept.start()
        kept.wait_log(r"channel adopted channel=1 .*worker=lives")
        # Delivered before the worker has called again.
        assert values_of(kafka, topic, 500) == numbers(500)
        reports = worker.wait_reports(499)
        kept.wait_log("channel taken back channel=1")
        assert all(report.outcome == DELIVERED and report.offset >= 0 for report in reports)
        positions = [report.position for report in reports]
        assert first < positions[0] and positions == sorted(set(positions))
        worker.send(topic, None, b"500")
        worker.flush()
        assert len(worker.wait_reports(1)) == 1 and worker.reports() == []
        assert worker.used_bytes() == 0
        assert names(kept) == of_channel(1, generation=2)
    kept.wait_log("channel closed channel=1")
    assert values_of(kafka, topic, 501) == numbers(501)
    assert kafka.witness.count(topic) == 501
    assert names(kept) == set()


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_a_worker_sends_on_while_its_channel_is_adopted_and_taken_over(kafka, kept, kill):
    topic, count = kafka.topic("sends-on"), 60_000
    with Worker(kept.socket_dir, {"ring.bytes": "256k"}) as worker:
        worker.begin("send_numbered", topic, b"p", count, mark_at=10_000)
        worker.wait_mark()
        kept.restart(kill=kill)
        kept.wait_log("channel taken back")
        reports = worker.result()
        reports += worker.wait_reports(count - len(reports))
        assert worker.reports() == []
    assert len(reports) == len({report.position for report in reports}) == count
    assert all(report.outcome == DELIVERED for report in reports)
    again = kfastctl.stat(kept.socket_dir).value(
        "kfast_resubmitted_messages_total", topic=topic, reason="daemon_restart"
    )
    tally = kafka.witness.digest(topic, expected=count).producers[b"p"]
    assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0), tally
    assert tally.duplicates <= again, tally


@pytest.mark.parametrize("reports", ["all", "errors", "none"])
def test_a_full_ring_of_a_worker_that_lives_has_room_for_its_reports(kafka, kept, reports):
    topic = kafka.topic("credit")
    options = {"ring.bytes": "64k", "report.bytes": "8k", "reports": reports}
    with Worker(kept.socket_dir, options) as worker:
        worker.send(topic, None, b"0")
        worker.flush()
        kept.kill()
        count = 1
        # Alternating topics: no two reports share a frame.
        topics = [kafka.topic("credit-a"), kafka.topic("credit-b")]
        # Which of both depends on whether it has looked at its socket yet.
        with pytest.raises(KfastError, match="kfastd is away|report ring has no room"):
            while True:
                worker.send(topics[count % 2], None, b"%d" % count)
                count += 1
        kept.start()
        for n, name in enumerate(topics):
            expected = [b"%d" % i for i in range(1, count) if i % 2 == n]
            assert values_of(kafka, name, len(expected)) == expected
        if reports == "all":
            assert len(worker.wait_reports(count)) == count
        worker.flush()
        assert worker.used_bytes() == 0
    assert kfastctl.stat(kept.socket_dir).value("kfast_violations_total") == 0


def test_a_worker_that_dies_after_the_adoption_is_delivered(kafka, kept):
    topic = kafka.topic("dies-later")
    with Worker(kept.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        kept.kill()
        kept.start()
        kept.wait_log(r"channel adopted channel=1 .*worker=lives")
        worker.kill()
    kept.wait_log("channel closed channel=1")
    assert names(kept) == set()


def test_a_record_that_is_rung_for_is_delivered_before_the_client_comes(kafka, kept):
    topic = kafka.topic("rung")
    now = int(time.time() * 1000)
    with RawSession(kept.socket_dir) as session:
        session.greet()
        channel = session.open()
        channel.name_topic(0, topic.encode())
        kept.kill()
        kept.start()
        kept.wait_log("channel adopted channel=1")
        channel.write_frame(record_frame(0, now, b"k", b"v"))
        assert values_of(kafka, topic, 1) == [b"v"]
        assert channel.head == 0, "the d2c segment of the dead kfastd says what it said"
        channel.close()


# Deaths in a row


@pytest.mark.parametrize("ready", [True, False], ids=["serving", "starting"])
def test_kfastd_dies_again_and_again_before_the_worker_comes_back(kafka, kept, ready):
    topic = kafka.topic("again")
    with Worker(kept.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        kept.kill()
        send_away(worker, kept, topic, 499, first=1)
        for n in range(8):
            mark = kept.mark()
            kept.start(wait_ready=ready)
            if n % 2 == 0:
                kept.wait_log("channel adopted", since=mark)
            kept.kill()
        mark = kept.mark()
        kept.start()
        kept.wait_log("channel adopted", since=mark)
        reports = worker.wait_reports(499)
        assert all(report.outcome == DELIVERED for report in reports)
        assert len({report.position for report in reports}) == 499
        worker.send(topic, None, b"500")
        worker.flush()
        assert worker.used_bytes() == 0
    first = list(dict.fromkeys(record.value for record in kafka.witness.read(topic)))
    assert first == numbers(501)
    kept.wait_log("channel closed channel=1", since=mark)
    assert names(kept) == set()


def test_kfastd_dies_again_and_again_without_a_worker(kafka, kept):
    topic = kafka.topic("again-dead")
    with Worker(kept.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        kept.kill()
        send_away(worker, kept, topic, 499, first=1)
        worker.kill()
    for _ in range(6):
        kept.start(wait_ready=False)
        kept.kill()
    kept.start()
    assert list(dict.fromkeys(values_of(kafka, topic, 500)))[:500] == numbers(500)


def test_a_channel_that_was_closed_when_kfastd_died_is_closed_by_the_next(kafka, paused, kept):
    topic = kafka.topic("closed")
    with Worker(kept.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        paused()
        worker.send(topic, None, b"1")
        worker.close()
        kept.kill()
        kafka.resume(1)
        kept.start()
        kept.wait_log("channel closed channel=1")
        assert list(dict.fromkeys(values_of(kafka, topic, 2))) == numbers(2)
        assert names(kept) == set()


@pytest.mark.parametrize("back", [False, True], ids=["away", "back"])
def test_a_producer_that_is_closed_without_a_session_leaves_nothing(kafka, kept, back):
    topic = kafka.topic("closed-away")
    with Worker(kept.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        kept.kill()
        send_away(worker, kept, topic, 9, first=1)
        if back:
            kept.start()
            kept.wait_log("channel adopted channel=1 .*worker=lives")
            worker.close()
        else:
            worker.close()
            kept.start()
        kept.wait_log("channel closed channel=1")
        assert values_of(kafka, topic, 10) == numbers(10)
        assert names(kept) == set()


@pytest.mark.parametrize("lie", ["tail", "frame", "reports"])
def test_a_ring_that_breaks_the_rules_is_given_up_when_it_is_adopted(kafka, kept, lie):
    topic, sent = kafka.topic("lies"), kafka.topic("honest")
    now = int(time.time() * 1000)
    with RawSession(kept.socket_dir) as session, Worker(kept.socket_dir) as honest:
        session.greet()
        channel = session.open(ring=262144, reports_ring=4096)
        channel.name_topic(0, topic.encode())
        kept.kill()
        if lie == "tail":
            channel.set_tail(1 << 40)
        elif lie == "frame":
            channel.write_frame(b"\xff" * 64)
        else:  # more in flight than the report ring has room for
            for _ in range(8000):
                channel.write_frame(record_frame(0, now, b"", b""))
        send_away(honest, kept, sent, 10)
        kept.start()
        kept.wait_log("a kept channel is given up: its memory breaks the rules channel=2")
        kept.wait_log("channel closed channel=2")
        assert len(honest.wait_reports(10)) == 10
        assert names(kept) == of_channel(1, generation=2)
        channel.close()


def test_workers_and_kfastd_are_killed_at_once_again_and_again(kafka, kept):
    topic, chance = kafka.topic("chaos", partitions=3), random.Random(4)
    accepted = {}
    for n in range(12):
        with Worker(kept.socket_dir, {"ring.bytes": "256k"}) as first, Worker(
            kept.socket_dir, {"ring.bytes": "64k"}
        ) as second:
            workers = {b"a%02d" % n: first, b"b%02d" % n: second}
            for name, worker in workers.items():
                mark = chance.randrange(1, 3000)
                worker.begin("send_numbered", topic, name, 1_000_000, keys=4, mark_at=mark)
            for worker in workers.values():
                worker.wait_mark()
            victims = [kept, *workers.values()]
            chance.shuffle(victims)
            for victim in victims:
                victim.kill()
            for name, worker in workers.items():
                accepted[name] = worker.accepted
        for _ in range(chance.randrange(3)):
            kept.start(wait_ready=False)
            kept.kill()
        kept.start()
    wait_empty(kept)
    tallies = kafka.witness.digest(topic, producer_bytes=3).producers
    for name, count in accepted.items():
        tally = tallies[name]
        assert (tally.missing, tally.out_of_order) == (0, 0), (name, count, tally)
        assert count <= tally.last + 1 <= count + 1, "of the last one nobody was told"
