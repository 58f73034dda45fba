"""kfastd.toml is read again on SIGHUP: refused whole, or applied without disturbing who is still allowed."""

import os
import resource
import signal

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kfast import DELIVERED, FAILED
from harness.worker import Worker


@pytest.fixture
def kfastd(kafka):
    with Kfastd(config_for(kafka.bootstrap)) as kfastd:
        yield kfastd


def reload(kfastd, config, outcome="read again and applied") -> None:
    kfastd.write_config(config)
    mark = kfastd.mark()
    kfastd.notify.clear()
    kfastd.signal(signal.SIGHUP)
    kfastd.wait_log(outcome, since=mark)
    # For systemd a reload is over with READY=1.
    assert kfastd.notify.wait("READY", "1", 60, lambda: kfastd.running)
    assert kfastd.notify.state["RELOADING"] == "1"
    assert int(kfastd.notify.state["MONOTONIC_USEC"]) > 0


def reloads(kfastd, result) -> int:
    return kfastctl.stat(kfastd.socket_dir).value("kfast_reloads_total", result=result)


def test_a_topic_that_is_allowed_now_can_be_sent_by_a_session_that_is_open(kafka, kfastd):
    topic, other = kafka.topic("was-allowed"), kafka.topic("now-allowed")
    reload(kfastd, config_for(kafka.bootstrap, produce=(topic,)))
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.send(other, None, b"refused")
        assert {each.outcome for each in worker.wait_reports(2)} == {DELIVERED, FAILED}
        reload(kfastd, config_for(kafka.bootstrap, produce=(topic, other)))
        worker.send(other, None, b"1")
        assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]
    assert [each.value for each in kafka.witness.read(other, count=1)] == [b"1"]
    assert reloads(kfastd, "applied") == 2


def test_a_topic_that_is_no_longer_allowed_is_refused_and_the_others_go_on(kafka, kfastd):
    topic, other = kafka.topic("still-allowed"), kafka.topic("no-longer")
    with Worker(kfastd.socket_dir) as worker:
        worker.send(other, None, b"0")
        worker.wait_reports(1)
        reload(kfastd, config_for(kafka.bootstrap, produce=(topic,)))
        worker.send(other, None, b"1")
        (report,) = worker.wait_reports(1)
        assert report.outcome == FAILED
        worker.send(topic, None, b"2")
        assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]


def test_limits_hold_from_then_on_and_take_nothing_away(kafka, kfastd):
    topic = kafka.topic("limits")
    one_channel = config_for(kafka.bootstrap)
    one_channel["limits"] = {"default": {"channels": 1}}
    with Worker(kfastd.socket_dir) as first, Worker(kfastd.socket_dir) as second:
        reload(kfastd, one_channel)
        with pytest.raises(Exception, match="limits.default.channels = 1 reached"):
            Worker(kfastd.socket_dir)
        for worker in (first, second):
            worker.send(topic, None, b"v")
            assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]
        reload(kfastd, config_for(kafka.bootstrap))
        with Worker(kfastd.socket_dir):
            pass


def test_a_session_whose_user_has_no_rule_any_more_ends(kafka, kfastd):
    with Worker(kfastd.socket_dir) as worker:
        topic = kafka.topic("thrown-out")
        worker.send(topic, None, b"v")
        worker.wait_reports(1)
        config = config_for(kafka.bootstrap)
        config["allow"] = [{"uid": 4242, "produce": ["*"]}]
        reload(kfastd, config)
        kfastd.wait_log("session ended: no .*allow.* rule any more")
        kfastd.wait_log("channel closed channel=1")


def limited_to(kafka, records_per_second):
    config = config_for(kafka.bootstrap)
    config["limits"] = {"default": {"records_per_second": records_per_second}}
    return config


def test_records_in_the_ring_outlive_a_rule_that_goes_and_comes_back(kafka):
    topic, count = kafka.topic("rule-comes-back"), 60
    with Kfastd(limited_to(kafka, 1)) as kfastd:
        with Worker(kfastd.socket_dir) as worker:
            for n in range(count):
                worker.send(topic, None, b"%d" % n)
            gone = limited_to(kafka, 1)
            gone["allow"] = [{"uid": 4242, "produce": ["*"]}]
            reload(kfastd, gone)
            kfastd.wait_log("session ended: no .*allow.* rule any more")
            kfastd.wait_log("channel closed channel=1")
            reload(kfastd, config_for(kafka.bootstrap))
            assert {each.outcome for each in worker.wait_reports(count)} == {DELIVERED}
    values = [each.value for each in kafka.witness.read(topic, count=count)]
    assert values == [b"%d" % n for n in range(count)]


def test_an_outcome_that_comes_when_the_session_has_ended_is_still_reported(kafka, kfastd, paused):
    topic = kafka.topic("reported-later")
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"before")
        worker.wait_reports(1)
        paused()
        for n in range(60):
            worker.send(topic, None, b"%d" % n)
        kfastctl.wait_stat(
            kfastd.socket_dir,
            lambda stats: stats.value("kfast_shard_taken_messages_total") == 61,
            "all records taken",
        )
        gone = config_for(kafka.bootstrap)
        gone["allow"] = [{"uid": 4242, "produce": ["*"]}]
        reload(kfastd, gone)
        kfastd.wait_log("session ended: no .*allow.* rule any more")
        kafka.resume(1)
        kfastd.wait_log("channel closed channel=1")
        reload(kfastd, config_for(kafka.bootstrap))
        reports = worker.wait_reports(60)
        assert [(each.outcome, each.offset) for each in reports] == [
            (DELIVERED, offset) for offset in range(1, 61)
        ]


def test_a_limit_that_went_while_its_user_was_away_is_gone(kafka):
    topic, count = kafka.topic("limit-went"), 1000
    with Kfastd(limited_to(kafka, 1)) as kfastd:
        with Worker(kfastd.socket_dir) as worker:
            worker.send(topic, None, b"v")
            worker.wait_reports(1)
        kfastd.wait_log("channel closed channel=1")
        reload(kfastd, config_for(kafka.bootstrap))
        with Worker(kfastd.socket_dir) as worker:
            for _ in range(count):
                worker.send(topic, None, b"v")
            # At the old limit they would take a quarter of an hour.
            assert {each.outcome for each in worker.wait_reports(count)} == {DELIVERED}


def test_a_certificate_that_was_renewed_in_its_place_makes_another_producer(kafka, tmp_path):
    certificate = tmp_path / "ca.pem"
    certificate.write_text("one")
    config = config_for(kafka.bootstrap)
    config["clusters"]["main"]["ssl.ca.location"] = str(certificate)
    with Kfastd(config) as kfastd:
        certificate.write_text("another")
        reload(kfastd, config)
        kfastd.wait_log("Kafka producer replaced profile=default")


@pytest.mark.parametrize(
    "text, why",
    [
        ("[daemon]\nsocket_dri = '/x'\n", "unknown key 'socket_dri'"),
        ("[[[", "kfastd.toml:1"),
        ("[" * 100_000, "kfastd.toml:1"),
        ("a." * 100_000 + "b = 1\n", "kfastd.toml:1:1: a key of 32 parts or more"),
        ("x = [" * 50_000, "kfastd.toml:1"),
        ("\0\x01", "kfastd.toml:1"),
    ],
)
def test_a_bad_file_is_refused_whole(kafka, kfastd, text, why):
    topic = kafka.topic("bad-file")
    with Worker(kfastd.socket_dir) as worker:
        reload(kfastd, text, outcome="refused, nothing has changed: .*" + why)
        worker.send(topic, None, b"v")
        assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]
    assert reloads(kfastd, "refused") == 1


def test_what_is_no_file_is_refused_whole(kafka, kfastd):
    topic = kafka.topic("no-file")
    with Worker(kfastd.socket_dir) as worker:
        for instead in (os.mkfifo, os.mkdir, lambda path: os.symlink("/nowhere", path)):
            kfastd.config_file.unlink()
            instead(kfastd.config_file)
            mark = kfastd.mark()
            kfastd.signal(signal.SIGHUP)
            kfastd.wait_log("refused, nothing has changed: ", since=mark)
            if kfastd.config_file.is_dir():
                kfastd.config_file.rmdir()
                kfastd.config_file.touch()
        kfastd.config_file.unlink()
        worker.send(topic, None, b"v")
        assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]


def test_a_kill_in_the_middle_of_a_reload_loses_nothing(kafka, kfastd):
    topic, count = kafka.topic("killed-reloading"), 40_000
    with Worker(kfastd.socket_dir, {"ring.bytes": "256k"}) as worker:
        worker.begin("send_numbered", topic, b"p", count, mark_at=5_000)
        worker.wait_mark()
        for linger in ("1", "2", "3"):
            kfastd.write_config(config_for(kafka.bootstrap, {"linger.ms": linger}))
            kfastd.signal(signal.SIGHUP)
            kfastd.kill()
            # What it said last is not the next one's word.
            kfastd.notify.settle()
            kfastd.notify.clear()
            kfastd.start()
        reports = worker.result()
        reports += worker.wait_reports(count - len(reports))
    assert all(report.outcome == DELIVERED for report in reports)
    tally = kafka.witness.digest(topic, expected=count).producers[b"p"]
    assert (tally.missing, tally.unexpected) == (0, 0), tally


def test_a_producer_that_has_no_descriptors_sends_when_there_are_some(kafka, kfastd):
    topic, count = kafka.topic("descriptors"), 100
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"v")
        worker.wait_reports(1)
        limits = resource.prlimit(kfastd.pid, resource.RLIMIT_NOFILE)
        used = len(os.listdir(f"/proc/{kfastd.pid}/fd"))
        resource.prlimit(kfastd.pid, resource.RLIMIT_NOFILE, (used + 2, limits[1]))
        # One broker by many names: two descriptors for each at once, more than the producer of
        # before gives back.
        port = kafka.bootstrap.rpartition(":")[2]
        names = ("127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0177.1", "0x7f.0.1", "0177.0.1")
        config = config_for(",".join(f"{name}:{port}" for name in names), {"linger.ms": "1"})
        kfastd.write_config(config)
        mark = kfastd.mark()
        kfastd.signal(signal.SIGHUP)
        for n in range(count):
            worker.send(topic, None, b"%d" % n)
        kfastd.wait_log("Too many open files|Failed to setup broker queue wake-up", since=mark)
        resource.prlimit(kfastd.pid, resource.RLIMIT_NOFILE, limits)
        assert {each.outcome for each in worker.wait_reports(count)} == {DELIVERED}


def test_what_only_a_start_changes_is_refused_whole_by_name(kafka, kfastd):
    config = config_for(kafka.bootstrap, produce=("nothing",), nap_us=1)
    config["profiles"]["other"] = {"cluster": "main"}
    reload(kfastd, config, outcome="only a restart changes daemon.nap_us profiles.other")
    topic = kafka.topic("start-only")
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"v")
        assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]


def test_a_certificate_that_is_not_there_is_refused_whole(kafka, kfastd):
    config = config_for(kafka.bootstrap)
    config["clusters"]["main"]["security.protocol"] = "SSL"
    config["clusters"]["main"]["ssl.ca.location"] = "/nowhere.pem"
    reload(kfastd, config, outcome="refused, nothing has changed: profile default: ssl.ca.location failed")


def test_other_properties_under_load_lose_nothing_and_keep_the_order(kafka, kfastd):
    topic, count = kafka.topic("renewed"), 60_000
    with Worker(kfastd.socket_dir, {"ring.bytes": "256k"}) as worker:
        worker.begin("send_numbered", topic, b"p", count, mark_at=10_000)
        worker.wait_mark()
        for linger in ("1", "2", "3"):
            mark = kfastd.mark()
            reload(kfastd, config_for(kafka.bootstrap, {"linger.ms": linger}))
            kfastd.wait_log("Kafka producer replaced profile=default", since=mark)
        reports = worker.result()
        reports += worker.wait_reports(count - len(reports))
    assert all(report.outcome == DELIVERED for report in reports)
    tally = kafka.witness.digest(topic, expected=count).producers[b"p"]
    assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0), tally


def test_records_that_wait_go_to_brokers_that_are_named_right_at_last(kafka):
    topic = kafka.topic("named-right")
    with Kfastd(config_for("127.0.0.1:1")) as kfastd:
        with Worker(kfastd.socket_dir) as worker:
            for n in range(100):
                worker.send(topic, None, b"%d" % n)
            reload(kfastd, config_for(kafka.bootstrap))
            assert {each.outcome for each in worker.wait_reports(100)} == {DELIVERED}
    values = [each.value for each in kafka.witness.read(topic, count=100)]
    assert values == [b"%d" % n for n in range(100)]


def kfastctl_reload(kfastd):
    return kfastctl.run(kfastd.socket_dir, "reload")


def test_kfastctl_reload_says_what_became_of_it(kafka, kfastd):
    kfastd.write_config(config_for(kafka.bootstrap, produce=("a",)))
    applied = kfastctl_reload(kfastd)
    assert (applied.returncode, applied.stdout) == (
        0,
        b"the configuration was read again and applied\n",
    )
    kfastd.write_config(config_for(kafka.bootstrap, nap_uss=1))
    refused = kfastctl_reload(kfastd)
    assert refused.returncode == 1
    assert b"refused, nothing has changed: " in refused.stdout
    assert b"unknown key 'nap_uss'" in refused.stdout


def test_kfastctl_reload_without_a_kfastd_says_so(kafka, kfastd):
    kfastd.terminate()
    kfastd.wait()
    ran = kfastctl_reload(kfastd)
    assert ran.returncode == 3
    assert b"no kfastd runs with the socket directory" in ran.stderr


def test_kfastctl_reload_of_a_kfastd_that_stops_says_who_reads_the_file(kafka, paused):
    topic = kafka.topic("reload-stopping")
    with Kfastd(config_for(kafka.bootstrap, drain_timeout_ms=600_000)) as kfastd:
        with Worker(kfastd.socket_dir) as worker:
            worker.send(topic, None, b"warm")
            worker.wait_reports(1)
            paused()
            worker.send(topic, None, b"v")
            kfastd.terminate()
            kfastd.wait_log("stopping: ")
            ran = kfastctl_reload(kfastd)
            assert (ran.returncode, ran.stdout) == (3, b"")
            assert b"stops, and takes no configuration any more: the next kfastd reads" in ran.stderr
            kafka.resume(1)
            worker.wait_reports(1)
        assert kfastd.wait() == 0


def test_a_kfastd_that_still_starts_reads_the_file_again_when_it_serves(kafka):
    with Kfastd(config_for(kafka.bootstrap), fd_store=True) as kfastd:
        with Worker(kfastd.socket_dir) as worker:
            topic = kafka.topic("reload-starting")
            worker.send(topic, None, b"v")
            worker.wait_reports(1)
            kfastd.kill()
            kfastd.notify.hold_barriers()
            kfastd.start(wait_ready=False)
            kfastd.notify.wait_barrier()
            kfastd.write_config(config_for(kafka.bootstrap, nap_uss=1))
            with kfastctl.Running(kfastd.socket_dir, "reload") as reload:
                kfastd.wait_log("SIGHUP: reads the configuration again as soon as")
                kfastd.notify.release_barriers()
                reload.wait_line("unknown key 'nap_uss'")
                assert reload.wait() == 1
