"""The units that the repository ships, under a real systemd, with everything that they forbid kfastd."""

import re
import subprocess

import pytest

from harness.daemon import config_for
from harness.frozen_thread import FrozenThread
from harness.kfast import DELIVERED, FAILED
from harness.worker import Worker
from installed import Installed, install


@pytest.fixture(scope="module")
def system():
    install()


@pytest.fixture
def installed(system, kafka):
    opened = []

    def make(instance=None, **settings) -> Installed:
        opened.append(Installed(config_for(kafka.bootstrap), instance, **settings))
        return opened[-1]

    yield make
    for each in opened:
        each.discard()


def values_of(kafka, topic, count):
    return [record.value for record in kafka.witness.read(topic, count=count)]


def test_a_worker_that_connects_before_kfastd_is_up_starts_it(kafka, installed):
    topic, kfastd = kafka.topic("activated"), installed()
    kfastd.socket.start()
    assert kfastd.show("ActiveState") == "inactive"
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"v")
        assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]
    assert kfastd.show("ActiveState") == "active"
    assert values_of(kafka, topic, 1) == [b"v"]


def test_kfastd_runs_as_a_user_of_its_own_that_may_do_next_to_nothing(installed):
    kfastd = installed()
    kfastd.start()
    assert kfastd.show("User") == "kfast"
    ran = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", kfastd.unit],
        text=True,
        check=True,
        stdout=subprocess.PIPE,
    )
    exposure = re.search(r"Overall exposure level for kfastd.service: ([0-9.]+)", ran.stdout)
    assert float(exposure[1]) <= 1.5, ran.stdout


def test_new_workers_wait_over_a_restart_and_none_is_refused(kafka, installed):
    topic, others_topic, kfastd = kafka.topic("sends-on"), kafka.topic("new"), installed()
    kfastd.start()
    with Worker(kfastd.socket_dir) as worker:
        worker.begin("send_numbered", topic, b"p", 60_000, mark_at=10_000)
        worker.wait_mark()
        restart = subprocess.Popen(["systemctl", "restart", kfastd.unit])
        others = 0
        while restart.poll() is None:
            with Worker(kfastd.socket_dir, {"connect.timeout.ms": "30000"}) as other:
                other.send(others_topic, None, b"%d" % others)
                others += 1
                other.close()
        assert restart.returncode == 0
        assert others > 0
        reports = worker.result()
        reports += worker.wait_reports(60_000 - len(reports))
    assert all(report.outcome == DELIVERED for report in reports)
    assert set(values_of(kafka, others_topic, others)) == {b"%d" % n for n in range(others)}
    tally = kafka.witness.digest(topic, expected=60_000).producers[b"p"]
    assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0), tally


def test_a_shard_that_hangs_is_a_kfastd_that_hangs(kafka, installed):
    topic, kfastd = kafka.topic("hung"), installed(WatchdogSec="2s")
    kfastd.start()
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        FrozenThread(kfastd.pid, "kfast-shard0")
        worker.send(topic, None, b"1")
        assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]
    assert int(kfastd.show("NRestarts")) == 1
    assert "Watchdog timeout" in kfastd.log()
    assert values_of(kafka, topic, 2) == [b"0", b"1"]


def test_the_status_says_how_it_stands(installed):
    kfastd = installed(WatchdogSec="1s")
    kfastd.start()
    kfastd.wait_shown("StatusText", "serving: 1 of 1 clusters up, 0 records wait")


def test_reload_fails_where_the_file_is_refused_and_nothing_changes(kafka, installed):
    topic, kfastd = kafka.topic("bad-reload"), installed()
    kfastd.start()
    before, mark = kfastd.pid, kfastd.mark()
    with Worker(kfastd.socket_dir) as worker:
        kfastd.write_config("[daemon]\nsocket_dri = '/x'\n")
        kfastd.reload(fails=True)
        assert "unknown key 'socket_dri'" in kfastd.log(mark)
        worker.send(topic, None, b"v")
        worker.wait_reports(1)
    assert (kfastd.pid, kfastd.show("ActiveState")) == (before, "active")


def test_a_good_file_is_in_effect_when_reload_returns(kafka, installed):
    topic, kfastd = kafka.topic("good-reload"), installed()
    nothing = config_for(kafka.bootstrap, produce=("nothing",))
    kfastd.write_config(nothing)
    kfastd.start()
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"refused")
        assert [each.outcome for each in worker.wait_reports(1)] == [FAILED]
        kfastd.write_config(config_for(kafka.bootstrap))
        kfastd.reload()
        worker.send(topic, None, b"v")
        assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]
    assert values_of(kafka, topic, 1) == [b"v"]


def test_two_instances_stand_side_by_side(kafka, installed):
    topic = kafka.topic("instances")
    for name in ("a", "b"):
        kfastd = installed(name)
        kfastd.socket.start()
        with Worker(kfastd.socket_dir) as worker:
            worker.send(topic, None, name.encode())
            worker.wait_reports(1)
    assert sorted(values_of(kafka, topic, 2)) == [b"a", b"b"]


def test_a_credential_is_a_secret_of_the_configuration(kafka, installed, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    kfastd = installed(LoadCredential=f"kfast_password:{secret}")
    config = config_for(kafka.bootstrap)
    config["clusters"]["main"]["sasl.password"] = {"credential": "kfast_password"}
    kfastd.write_config(config)
    kfastd.start()
    assert "s3cret" not in kfastd.log()
