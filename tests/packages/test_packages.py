"""The Debian packages: installed, upgraded, removed and purged under a real systemd, with real Kafka."""

import re
import subprocess
from pathlib import Path

from harness.daemon import config_for
from harness.frozen_thread import FrozenThread
from harness.kfast import DELIVERED
from harness.worker import Worker
from unit import Unit


def values_of(kafka, topic, count):
    return [record.value for record in kafka.witness.read(topic, count=count)]


def running(host, kafka, version="old"):
    """kfastd of the packages, on a configuration that lets the tests write."""
    host.install(version)
    kfastd = host.configure(config_for(kafka.bootstrap))
    kfastd.restart()
    return kfastd


def test_a_fresh_installation_runs_and_takes_the_first_record(host, kafka):
    topic = kafka.topic("first")
    host.install("old")
    assert Unit("kfastd.service").show("ActiveState") == "active"
    assert Unit("kfastd.socket").show("ActiveState") == "active"
    assert Unit("kfastd.service").show("UnitFileState") == "enabled"
    # A first installation knows no brokers and allows nothing; a reload is all it takes.
    host.configure(config_for(kafka.bootstrap)).reload()
    subprocess.run(["kfastctl", "produce", "-t", topic], input=b"first\n", check=True)
    assert values_of(kafka, topic, 1) == [b"first"]
    subprocess.run(["kfastctl", "health"], check=True)


def test_a_tarball_does_the_same_without_dpkg(host, kafka):
    topic = kafka.topic("tarball")
    host.unpack()
    try:
        kfastd = host.configure(config_for(kafka.bootstrap))
        kfastd.reload()
        subprocess.run(["kfastctl", "produce", "-t", topic], input=b"first\n", check=True)
        assert values_of(kafka, topic, 1) == [b"first"]
    finally:
        host.take_away()


def test_the_service_is_exposed_as_little_as_promised(host, kafka):
    running(host, kafka)
    ran = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "kfastd.service"],
        text=True,
        check=True,
        stdout=subprocess.PIPE,
    )
    exposure = re.search(r"Overall exposure level for kfastd.service: ([0-9.]+)", ran.stdout)
    assert float(exposure[1]) <= 1.5, ran.stdout


def test_an_upgrade_under_load_loses_nothing_and_refuses_nobody(host, kafka):
    topic, others_topic, count = kafka.topic("load"), kafka.topic("new-workers"), 60_000
    kfastd = running(host, kafka)
    before = kfastd.pid, host.version("kfast-daemon")
    written = Path("/etc/kfast/kfastd.toml").read_bytes()
    with Worker(kfastd.socket_dir) as worker:
        worker.begin("send_numbered", topic, b"p", count, mark_at=10_000)
        worker.wait_mark()
        stored = kfastd.stored
        mark = kfastd.mark()
        host.install("new")
        with Worker(kfastd.socket_dir) as other:
            other.send(others_topic, None, b"v")
            assert [each.outcome for each in other.wait_reports(1)] == [DELIVERED]
        reports = worker.result()
        reports += worker.wait_reports(count - len(reports))
    assert stored == 4
    assert "channel adopted" in kfastd.log(mark)
    assert (kfastd.pid, host.version("kfast-daemon")) != before
    assert Path("/etc/kfast/kfastd.toml").read_bytes() == written
    assert all(report.outcome == DELIVERED for report in reports)
    tally = kafka.witness.digest(topic, expected=count).producers[b"p"]
    assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0), tally


def test_what_kfastd_and_worker_leave_behind_is_delivered(host, kafka):
    topic, kfastd = kafka.topic("both-dead"), running(host, kafka)
    with Worker(kfastd.socket_dir) as worker:
        worker.begin("send_numbered", topic, b"p", 1_000_000, mark_at=10_000)
        worker.wait_mark()
        mark = kfastd.mark()
        kfastd.kill(hold=False)
        worker.kill()
        accepted = worker.accepted
    kfastd.wait_log("channel closed channel=1", mark)
    tally = kafka.witness.digest(topic, expected=accepted).producers[b"p"]
    # One more may have been accepted than the worker could count.
    assert tally.missing == 0 and tally.unexpected <= 1, tally


def test_a_shard_that_hangs_is_replaced_and_loses_nothing(host, kafka):
    topic, kfastd = kafka.topic("hung"), running(host, kafka)
    kfastd.set(WatchdogSec="2s")
    kfastd.restart()
    with Worker(kfastd.socket_dir) as worker:
        FrozenThread(kfastd.pid, "kfast-shard0")
        worker.send(topic, None, b"v")
        assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]
    assert values_of(kafka, topic, 1) == [b"v"]


def test_removal_stops_kfastd_and_keeps_the_configuration(host, kafka):
    kfastd = running(host, kafka)
    process = Path("/proc", str(kfastd.pid))
    host.remove()
    assert not process.exists()
    assert kfastd.show("LoadState") != "loaded"
    assert not (kfastd.socket_dir / "kfastd.sock").exists()
    assert Path("/etc/kfast/kfastd.toml").exists()


def test_purge_leaves_nothing(host, kafka):
    before = host.files()
    running(host, kafka, "old")
    host.install("new")
    assert host.files() - before
    host.remove()
    host.purge()
    assert host.files() - before == set()
    assert not Path("/run/kfast").exists()
