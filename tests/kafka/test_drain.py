"""kfastctl drain: the graceful stop by hand, and what everybody sees of it."""

import json
import os
import pty
import signal

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kfast import DELIVERED, KfastError, Producer
from harness.raw_session import DRAINING, REFUSED, RawSession, open_producer
from harness.worker import Worker

STRANGER = 65533
NOBODY_WAITS_SO_LONG = 600_000


@pytest.fixture
def patient(kafka):
    """kfastd that waits longer for its brokers than any test."""
    config = config_for(kafka.bootstrap, drain_timeout_ms=NOBODY_WAITS_SO_LONG)
    with Kfastd(config) as daemon:
        yield daemon


def drain(kfastd, *arguments):
    """kfastctl drain; (exit code, stdout, stderr)."""
    done = kfastctl.run(kfastd.socket_dir, "drain", *arguments)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def child_of(keeper) -> int:
    return int((keeper.socket_dir / "kfastd.lock").read_text())


def values_of(kafka, topic):
    return [record.value for record in kafka.witness.read(topic)]


def distinct(values) -> list:
    return list(dict.fromkeys(values))


def test_a_drain_by_hand_delivers_everything_and_says_so(kafka, kfastd):
    topic = kafka.topic("by-hand")
    with Producer(kfastd.socket_dir) as producer:
        for n in range(1000):
            producer.send(topic, None, b"%d" % n)
        code, out, err = drain(kfastd)
        assert (code, err) == (0, "")
        assert out.endswith("drained: every record accepted before it has its outcome\n")
        assert kfastd.wait() == 0
        reports = producer.reports()
        assert [report.outcome for report in reports] == [DELIVERED] * 1000
    assert values_of(kafka, topic) == [b"%d" % n for n in range(1000)]
    kfastd.wait_log("kfastd stopped: every record has its outcome")
    assert kfastd.notify.state["STATUS"] == "stopped: every record has its outcome"
    document = kfastctl.stat(kfastd.socket_dir).document
    assert (document["phase"], document["drain"]["result"]) == ("stopped", "drained")


def test_a_drain_without_brokers_is_followed_until_another_terminal_ends_it(kafka, patient, paused):
    kfastd, topic = patient, kafka.topic("no-brokers")
    with Producer(kfastd.socket_dir) as producer, RawSession(kfastd.socket_dir) as session:
        session.greet()
        producer.send(topic, None, b"warm")
        producer.wait_reports(1)
        paused()
        for n in range(100):
            producer.send(topic, None, b"%d" % n)
        with kfastctl.Running(kfastd.socket_dir, "drain") as first:
            first.wait_line("draining: 100 records wait, ")

            stats = kfastctl.stat(kfastd.socket_dir)
            assert stats.document["phase"] == "draining"
            assert stats.document["drain"]["waiting_messages"] == 100
            assert 0 < stats.document["drain"]["left_ms"] <= NOBODY_WAITS_SO_LONG
            assert stats.value("kfast_drain_waiting_messages") == 100
            text = kfastctl.run(kfastd.socket_dir, "stat", "--once").stdout
            assert b" draining (100 records wait, 9 min " in text
            health = kfastctl.run(kfastd.socket_dir, "health")
            assert health.returncode == 1
            assert b"draining (100 records wait, 9 min " in health.stdout
            tolerant = kfastctl.run(kfastd.socket_dir, "health", "--tolerate-warnings")
            assert tolerant.returncode == 0
            assert b"warning: " in tolerant.stdout
            assert kfastd.notify.state["STOPPING"] == "1"
            status = "draining: 100 records wait, …"
            assert kfastd.notify.wait("STATUS", status, 60, lambda: kfastd.running)
            assert int(kfastd.notify.state["EXTEND_TIMEOUT_USEC"]) > 500_000_000

            # Workers go on; nothing new is let in.
            for n in range(100, 150):
                producer.send(topic, None, b"%d" % n)
            with pytest.raises(KfastError, match="kfastd is stopping"):
                Producer(kfastd.socket_dir)
            session.send(open_producer())
            answer = session.receive()
            assert answer.kind == REFUSED
            assert answer.refusal == (DRAINING, "kfastd is stopping: try again when it is back")

            code, out, err = drain(kfastd, "--now")
            assert (code, err) == (1, "")
            assert "100 records of 1 channel stay in their rings: they are delivered when" in out
            first.wait_line("100 records of 1 channel stay in their rings")
            assert first.wait() == 1
        assert kfastd.wait() == 0
        kfastd.wait_log("the drain was cut short: 100 records of 1 channels stay in their rings")
        left = "stopped: 100 records of 1 channels stay in their rings"
        assert kfastd.notify.state["STATUS"] == left
        kafka.resume(1)
        kfastd.start()
        reports = producer.wait_reports(150)
        assert [report.outcome for report in reports] == [DELIVERED] * 150
    assert distinct(values_of(kafka, topic)) == [b"warm", *(b"%d" % n for n in range(150))]


def test_what_was_never_taken_is_counted_too(kafka, paused):
    config = config_for(kafka.bootstrap, drain_timeout_ms=0)
    config["limits"] = {"default": {"records_per_second": 1}}
    with Kfastd(config) as kfastd, Producer(kfastd.socket_dir) as producer:
        topic = kafka.topic("not-taken")
        paused()
        for n in range(500):
            producer.send(topic, None, b"%d" % n)
        code, out, _ = drain(kfastd)
        assert code == 1 and "500 records of 1 channel stay in their rings" in out
        kfastd.wait_log("drain deadline passed: 500 records of 1 channels stay in their rings")


def test_a_second_drain_follows_the_first_and_cuts_nothing_short(kafka, patient, paused):
    kfastd, topic = patient, kafka.topic("two-drains")
    with Producer(kfastd.socket_dir) as producer:
        producer.send(topic, None, b"warm")
        producer.wait_reports(1)
        paused()
        producer.send(topic, None, b"v")
        code, _, err = drain(kfastd, "--timeout", "0")
        assert code == 3 and "not followed any longer (--timeout)" in err and "goes on" in err
        kfastd.wait_log("stopping: taking what was sent")
        with kfastctl.Running(kfastd.socket_dir, "drain") as second:
            second.wait_line("draining: 1 record waits, ")
            kafka.resume(1)
            second.wait_line("drained: every record accepted before it has its outcome")
            assert second.wait() == 0
        assert kfastd.wait() == 0
        assert len(producer.wait_reports(1)) == 1
    assert "second signal" not in kfastd.log_text()


def test_on_a_terminal_one_line_is_written_over(kafka, patient, paused):
    kfastd, topic = patient, kafka.topic("terminal")
    with Producer(kfastd.socket_dir) as producer:
        producer.send(topic, None, b"warm")
        producer.wait_reports(1)
        paused()
        producer.send(topic, None, b"v")
        ours, theirs = pty.openpty()
        with kfastctl.Running(kfastd.socket_dir, "drain", stdout=theirs) as follower:
            os.close(theirs)
            shown = b""
            # The seconds change, so it is written again though nothing else does.
            while shown.count(b"\rdraining: 1 record waits, ") < 2:
                shown += os.read(ours, 4096)
            kafka.resume(1)
            assert follower.wait() == 0
        while not shown.endswith(b"has its outcome\r\n"):
            shown += os.read(ours, 4096)
        os.close(ours)
        assert shown.count(b"\n") == 2, shown


def test_another_user_may_not_drain(kafka, kfastd):
    done = kfastctl.run_as(STRANGER, kfastd.socket_dir, "drain")
    assert done.returncode == 3
    assert b"not permitted to signal kfastd (pid %d, uid " % kfastd.pid in done.stderr
    assert b"run kfastctl as root or as that user" in done.stderr
    document = kfastctl.stat(kfastd.socket_dir).document
    assert document["phase"] == "running" and "drain" not in document


def test_without_a_kfastd_there_is_nothing_to_drain(kafka, kfastd, tmp_path):
    done = kfastctl.run(tmp_path, "drain")
    assert done.returncode == 3 and b"kfastd has not run with this socket directory" in done.stderr
    pid = b"%d" % kfastd.pid
    kfastd.terminate()
    assert kfastd.wait() == 0
    code, out, err = drain(kfastd)
    assert (code, out) == (3, "")
    assert f"the one of pid {pid.decode()}, whose stats are still there, has stopped" in err
    kfastd.start()
    kfastd.kill()
    code, _, err = drain(kfastd)
    assert code == 3 and "whose stats are still there, was killed" in err


def test_a_kfastd_that_does_not_heed_the_signal_is_named(kafka, kfastd):
    kfastd.signal(signal.SIGSTOP)
    with kfastctl.Running(kfastd.socket_dir, "drain") as follower:
        follower.wait_line("told to stop; it has not begun to drain")
        warning = follower.wait_line("does not heed SIGTERM: it hangs")
        assert f"`kill -9 {kfastd.pid}` ends it" in warning
        kfastd.signal(signal.SIGCONT)
        follower.wait_line("drained: every record accepted before it has its outcome")
        assert follower.wait() == 0


def test_a_kfastd_that_is_killed_while_it_drains_is_no_drain(kafka, patient, paused):
    kfastd, topic = patient, kafka.topic("killed-draining")
    with Producer(kfastd.socket_dir) as producer:
        producer.send(topic, None, b"warm")
        producer.wait_reports(1)
        paused()
        producer.send(topic, None, b"v")
        with kfastctl.Running(kfastd.socket_dir, "drain") as follower:
            follower.wait_line("draining: 1 record waits")
            kfastd.kill()
            follower.wait_line("has ended before its drain had: it was killed, or hung")
            assert follower.wait() == 3
        kafka.resume(1)
        kfastd.start()
        producer.wait_reports(1)


def leave_a_dead_workers_records(kafka, kfastd, topic, pause, count=10):
    with Worker(kfastd.socket_dir) as dead:
        dead.send(topic, None, b"warm")
        dead.wait_reports(1)
        pause()
        for n in range(count):
            dead.send(topic, None, b"%d" % n)
        dead.kill()


def test_records_of_dead_workers_are_named_as_lost_where_nobody_keeps_them(kafka, patient, paused):
    kfastd = patient
    leave_a_dead_workers_records(kafka, kfastd, kafka.topic("lost"), paused)
    code, out, _ = drain(kfastd, "--now")
    assert code == 1
    assert "10 records of 1 channel whose workers are gone are lost" in out
    kfastd.wait_log(r"10 records of 1 channels whose workers are gone are lost.* channels= 1")
    assert kfastctl.stat(kfastd.socket_dir).value("kfast_lost_messages_total") == 10


def test_records_of_dead_workers_that_are_kept_are_delivered_by_the_next_kfastd(kafka, paused):
    topic = kafka.topic("kept")
    config = config_for(kafka.bootstrap, drain_timeout_ms=NOBODY_WAITS_SO_LONG)
    with Kfastd(config, fd_store=True) as kfastd:
        leave_a_dead_workers_records(kafka, kfastd, topic, paused)
        code, out, _ = drain(kfastd, "--now")
        assert code == 1
        assert "10 records of 1 channel whose workers are gone are kept: the next kfastd" in out
        assert kfastctl.stat(kfastd.socket_dir).value("kfast_lost_messages_total") == 0
        kfastd.wait()
        kafka.resume(1)
        kfastd.start()
        kfastd.wait_log("channel closed channel=1")
    assert distinct(values_of(kafka, topic)) == [b"warm", *(b"%d" % n for n in range(10))]


def test_a_stop_while_kept_segments_are_adopted_delivers_them_first(kafka, paused):
    topic = kafka.topic("adopting")
    config = config_for(kafka.bootstrap, drain_timeout_ms=NOBODY_WAITS_SO_LONG)
    with Kfastd(config, fd_store=True) as kfastd:
        leave_a_dead_workers_records(kafka, kfastd, topic, paused)
        kfastd.kill()
        kafka.resume(1)
        kfastd.notify.hold_barriers()
        kfastd.start(wait_ready=False)
        kfastd.notify.wait_barrier()
        with kfastctl.Running(kfastd.socket_dir, "drain") as follower:
            follower.wait_line("told to stop; it has not begun to drain")
            kfastd.wait_log("stopping as soon as kept segments are adopted")
            kfastd.notify.release_barriers()
            follower.wait_line("drained: every record accepted before it has its outcome")
            assert follower.wait() == 0
        assert kfastd.wait() == 0
        assert "READY" not in kfastd.notify.state
    assert distinct(values_of(kafka, topic)) == [b"warm", *(b"%d" % n for n in range(10))]


def test_a_second_signal_while_segments_are_adopted_ends_kfastd(kafka, paused):
    topic = kafka.topic("adopting-hurry")
    config = config_for(kafka.bootstrap, drain_timeout_ms=NOBODY_WAITS_SO_LONG)
    with Kfastd(config, fd_store=True) as kfastd:
        leave_a_dead_workers_records(kafka, kfastd, topic, paused)
        kfastd.kill()
        kafka.resume(1)
        kfastd.notify.hold_barriers()
        kfastd.start(wait_ready=False)
        kfastd.notify.wait_barrier()
        kfastd.terminate()
        kfastd.wait_log("stopping as soon as kept segments are adopted")
        kfastd.terminate()
        assert kfastd.wait() == 0
        kfastd.wait_log("kfastd stopped: kept segments were not adopted")
        kfastd.notify.release_barriers()
        kfastd.start()
        kfastd.wait_log("channel closed channel=1")
    assert distinct(values_of(kafka, topic)) == [b"warm", *(b"%d" % n for n in range(10))]


def test_a_keeper_ends_with_the_kfastd_that_was_drained_by_hand(kafka):
    with Kfastd(config_for(kafka.bootstrap), arguments=("--keeper",)) as keeper:
        topic = kafka.topic("keeper-drain")
        with Producer(keeper.socket_dir) as producer:
            producer.send(topic, None, b"v")
            assert drain(keeper)[0] == 0
            assert keeper.wait() == 0
            assert [report.outcome for report in producer.reports()] == [DELIVERED]
    assert "started again" not in keeper.log_text() and "keeper: ends" not in keeper.log_text()
    assert keeper.notify.state.get("STATUS", "").startswith("stopped")


def test_a_keeper_names_what_is_lost_with_it(kafka, paused):
    config = config_for(kafka.bootstrap, drain_timeout_ms=NOBODY_WAITS_SO_LONG)
    with Kfastd(config, arguments=("--keeper",)) as keeper:
        leave_a_dead_workers_records(kafka, keeper, kafka.topic("keeper-lost"), paused)
        code, out, _ = drain(keeper, "--now")
        assert code == 1
        assert "10 records of 1 channel whose workers are gone are lost" in out
        assert keeper.wait() == 0
    log = keeper.log_text()
    assert "are lost: the keeper that held their segments ends, too channels= 1" in log
    assert "it held 1 channels whose workers are gone: what had no outcome" in log.splitlines()[-1]
    assert "started again" not in log


def test_a_keeper_does_not_start_again_what_is_killed_while_it_drains(kafka, paused):
    config = config_for(kafka.bootstrap, drain_timeout_ms=NOBODY_WAITS_SO_LONG)
    keeper = Kfastd(config, arguments=("--keeper",))
    try:
        leave_a_dead_workers_records(kafka, keeper, kafka.topic("keeper-killed"), paused)
        with kfastctl.Running(keeper.socket_dir, "drain") as follower:
            follower.wait_line("draining: 10 records wait")
            os.kill(child_of(keeper), signal.SIGKILL)
            assert follower.wait() == 3
        assert keeper.wait() == 1
    finally:
        keeper.discard()
    assert "it held 1 channels whose workers are gone" in keeper.log_text()
    assert "started again" not in keeper.log_text()


def test_stat_shows_the_words_of_a_drain_as_metrics(kafka, kfastd):
    assert drain(kfastd)[0] == 0
    done = kfastctl.run(kfastd.socket_dir, "stat", "-o", "json", "-f", "result=drained")
    (metric,) = json.loads(done.stdout)["metrics"]
    assert (metric["name"], metric["value"]) == ("kfast_drains_total", 1)
