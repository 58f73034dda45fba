"""kfastd --keeper: what was accepted outlives kfastd and its workers without systemd, too."""

import os
import signal
import socket

import pytest

from harness.daemon import Kfastd, config_for
from harness.process import remove_directory, temporary_directory
from harness.worker import Worker


def values_of(kafka, topic, count):
    return [record.value for record in kafka.witness.read(topic, count=count)]


def child_of(kfastd) -> int:
    """The kfastd that the keeper runs now."""
    return int((kfastd.socket_dir / "kfastd.lock").read_text())


def kill_child(kfastd) -> None:
    """kill -9 for kfastd alone; returns when the keeper has started it again and it serves."""
    kfastd.notify.clear()
    os.kill(child_of(kfastd), signal.SIGKILL)
    kfastd.wait_ready()


@pytest.fixture
def runtime_directory():
    """Where the keeper makes its own directory."""
    directory = temporary_directory("keeper")
    yield directory
    remove_directory(directory)


@pytest.fixture
def kept_by_keeper(kafka, runtime_directory):
    """kfastd under its own keeper; the process that the test sees is the keeper."""
    environment = {"RUNTIME_DIRECTORY": str(runtime_directory)}
    with Kfastd(
        config_for(kafka.bootstrap), arguments=("--keeper",), environment=environment
    ) as daemon:
        yield daemon


def test_the_keeper_starts_kfastd_again_and_both_deaths_lose_nothing(kafka, kept_by_keeper):
    kfastd = kept_by_keeper
    topic = kafka.topic("keeper")
    with Worker(kfastd.socket_dir) as dead, Worker(kfastd.socket_dir) as living:
        for worker in (dead, living):
            worker.send(topic, None, b"first")
            worker.wait_reports(1)
        # Stopped, so that the records are sent while no kfastd takes them.
        os.kill(child_of(kfastd), signal.SIGSTOP)
        for n in range(300):
            dead.send(topic, None, b"d%d" % n)
            living.send(topic, None, b"l%d" % n)
        dead.kill()
        kill_child(kfastd)
        kfastd.wait_log("kfastd was killed by signal 9.*8 descriptors are kept")
        kfastd.wait_log("channel closed channel=1")
        values = values_of(kafka, topic, 602)
        assert [v for v in values if v.startswith(b"d")] == [b"d%d" % n for n in range(300)]
        assert [v for v in values if v.startswith(b"l")] == [b"l%d" % n for n in range(300)]
        assert len(living.wait_reports(300)) == 300
        living.send(topic, None, b"last")
        living.flush()
    assert kafka.witness.count(topic) == 603


def test_the_keeper_brings_kfastd_back_however_often_it_is_killed(kafka, kept_by_keeper):
    topic, count = kafka.topic("keeper-often"), 40_000
    with Worker(kept_by_keeper.socket_dir, {"ring.bytes": "256k"}) as worker:
        worker.begin("send_numbered", topic, b"p", count, mark_at=5_000)
        worker.wait_mark()
        for _ in range(4):
            kill_child(kept_by_keeper)
        reports = worker.result()
        reports += worker.wait_reports(count - len(reports))
    assert len(reports) == len({report.position for report in reports}) == count
    tally = kafka.witness.digest(topic, expected=count).producers[b"p"]
    assert (tally.missing, tally.out_of_order, tally.unexpected) == (0, 0, 0), tally


def test_a_keeper_that_is_told_to_stop_ends_with_kfastd_and_leaves_nothing(
    kafka, kept_by_keeper, runtime_directory
):
    kfastd = kept_by_keeper
    child = child_of(kfastd)
    (directory,) = runtime_directory.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    topic = kafka.topic("keeper-stop")
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"v")
        kfastd.terminate()
        assert kfastd.wait() == 0
        assert values_of(kafka, topic, 1) == [b"v"]
    assert not os.path.exists(f"/proc/{child}") and not directory.exists()


def test_the_keeper_gives_up_on_a_configuration_that_was_never_good():
    kfastd = Kfastd("nonsense = 1", arguments=("--keeper",), start=False)
    try:
        kfastd.start(wait_ready=False)
        assert kfastd.wait() == 1
        assert "nonsense" in kfastd.wait_log("toml:1:1.*").group()
    finally:
        kfastd.discard()


def test_the_keeper_keeps_what_it_has_when_the_configuration_goes_bad(kafka, kept_by_keeper):
    kfastd = kept_by_keeper
    topic = kafka.topic("keeper-bad")
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"0")
        worker.wait_reports(1)
        os.kill(child_of(kfastd), signal.SIGSTOP)
        for n in range(1, 10):
            worker.send(topic, None, b"%d" % n)
        worker.kill()
    kfastd.write_config("nonsense = 1")
    kfastd.notify.clear()
    os.kill(child_of(kfastd), signal.SIGKILL)
    kfastd.wait_log("kfastd ended with status 1: it is started again .*4 descriptors are kept")
    kfastd.write_config(config_for(kafka.bootstrap))
    kfastd.wait_ready()
    assert values_of(kafka, topic, 10) == [b"%d" % n for n in range(10)]


def test_the_keeper_hears_only_its_own_kfastd(kept_by_keeper, runtime_directory):
    (path,) = runtime_directory.glob("*/*")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(str(path))
        socket.send_fds(stranger, [b"FDSTORE=1\nFDNAME=kf1.c2d"], [0])
    kept_by_keeper.wait_log(f"a message of process {os.getpid()} is not kfastd's")
    kill_child(kept_by_keeper)
    kept_by_keeper.wait_log("killed by signal 9.* 0 descriptors are kept")
