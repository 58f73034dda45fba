"""What kfastd finds at its start is not as it should be: it says what and how to mend it, and what
is there stays as it is.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from harness import kfastctl, other_user
from harness.daemon import Kfastd, config_for, default_binary
from harness.kfast import DELIVERED, Producer
from harness.mock_broker import MockBroker
from harness.process import Process, temporary_directory

NOBODYS = 23456  # a user without a name; some number that nobody has
SOCKETS = ("kfastd.sock", "bell.sock")
STATS_LAYOUT_AT = 8  # include/kfast/ipc/stats_layout.hpp: Header.layout_version


@pytest.fixture
def broker():
    with MockBroker() as broker:
        broker.topic("orders")
        yield broker


def refused(config, match: str, **how) -> str:
    """Starts a kfastd that must end with status 1 and these words; its log."""
    with pytest.raises(RuntimeError, match=match) as error:
        Kfastd(config, **how)
    assert "ended with status 1" in str(error.value)
    return str(error.value)


def run_as(uid: int, kfastd, directory) -> subprocess.CompletedProcess:
    """Runs kfastd as another user, on a directory of sockets that is not its own."""
    program = kfastd.directory / "kfastd"
    shutil.copyfile(default_binary(), program)
    program.chmod(0o755)
    argv = [program, "--config", kfastd.config_file, "--socket-dir", directory]
    return subprocess.run(
        other_user.command(uid, [str(part) for part in argv], {"PATH": os.environ["PATH"]}),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def works(kfastd) -> None:
    with Producer(kfastd.socket_dir) as producer:
        producer.send("orders", None, b"v")
        assert producer.wait_reports(1)[0].outcome == DELIVERED


@contextlib.contextmanager
def small_disk(kilobytes: int, options: str = ""):
    """A file system of its own, which the test may fill."""
    directory = temporary_directory("disk")
    settings = ",".join(["mode=755", f"size={kilobytes}k", *filter(None, [options])])
    subprocess.run(["mount", "-t", "tmpfs", "-o", settings, "kfast-test", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def fill(directory) -> None:
    with open(directory / "filler", "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


# The sockets' place is taken


@pytest.mark.parametrize("name", SOCKETS)
def test_a_socket_that_a_dead_kfastd_left_is_replaced(broker, name):
    directory = temporary_directory("left")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
        left.bind(str(directory / name))
    with Kfastd(config_for(broker.bootstrap), socket_dir=directory) as kfastd:
        works(kfastd)


@pytest.mark.parametrize("name", SOCKETS)
def test_a_file_of_a_sockets_name_is_not_thrown_away(broker, name):
    directory = temporary_directory("file")
    (directory / name).write_text("somebody's")
    refused(
        config_for(broker.bootstrap),
        rf"cannot listen on {directory}/{name}: it is there and no socket: .*daemon\.socket_dir",
        socket_dir=directory,
    )
    assert (directory / name).read_text() == "somebody's"


@pytest.mark.parametrize("name", SOCKETS)
def test_a_directory_of_a_sockets_name_is_named(broker, name):
    """What a container runtime makes where a socket was to be mounted that was not there."""
    directory = temporary_directory("directory")
    (directory / name).mkdir()
    refused(
        config_for(broker.bootstrap),
        rf"cannot listen on {directory}/{name}: it is there and no socket: ",
        socket_dir=directory,
    )


@pytest.mark.parametrize("name", SOCKETS)
def test_a_socket_on_which_another_program_listens_is_not_taken_from_it(broker, name):
    directory = temporary_directory("taken")
    kind = socket.SOCK_SEQPACKET if name == "kfastd.sock" else socket.SOCK_STREAM
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(directory / name))
        other.listen()
        refused(
            config_for(broker.bootstrap),
            rf"cannot listen on {directory}/{name}: another program listens there: ",
            socket_dir=directory,
        )
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect(str(directory / name))


def test_a_kfastd_that_is_refused_harms_nothing_of_the_one_that_runs(broker):
    with Kfastd(config_for(broker.bootstrap)) as kfastd:
        before = {name: os.stat(kfastd.socket_dir / name).st_ino for name in (*SOCKETS, "stats")}
        refused(
            config_for(broker.bootstrap),
            rf"another kfastd \(pid {kfastd.pid}\) uses {kfastd.socket_dir}",
            socket_dir=kfastd.socket_dir,
        )
        assert before == {
            name: os.stat(kfastd.socket_dir / name).st_ino for name in (*SOCKETS, "stats")
        }
        works(kfastd)


# The directory


def test_a_directory_that_cannot_be_made_is_named(broker):
    file = temporary_directory("parent") / "file"
    file.touch()
    config = config_for(broker.bootstrap, socket_dir=f"{file}/run")
    refused(config, rf"cannot make {file}/run: Not a directory \(make it, or choose another")


def test_a_socket_directory_that_is_a_file_is_named(broker):
    file = temporary_directory("parent") / "file"
    file.touch()
    config = config_for(broker.bootstrap, socket_dir=str(file))
    refused(config, rf"cannot write in {file}: Not a directory")


def test_a_directory_of_another_user_is_named(broker):
    """As a container that runs with another user than the directory's."""
    directory = temporary_directory("others")
    kfastd = Kfastd(config_for(broker.bootstrap), start=False)
    try:
        done = run_as(NOBODYS, kfastd, directory)
        assert done.returncode == 1, done.stderr
        assert f"cannot write in {directory}: Permission denied (run as" in done.stderr
        assert os.listdir(directory) == []
    finally:
        kfastd.discard()


def test_a_directory_that_is_mounted_read_only_is_named(broker):
    with small_disk(64, "ro") as directory:
        config = config_for(broker.bootstrap, socket_dir=str(directory))
        refused(config, rf"cannot write in {directory}: Read-only file system")


# The disk is full


def test_a_full_disk_at_the_start_is_named_and_leaves_nothing(broker):
    with small_disk(256) as directory:
        fill(directory)
        config = config_for(broker.bootstrap, socket_dir=str(directory))
        refused(config, rf"no room in the file system for the stats segment {directory}/stats.new")
        assert set(os.listdir(directory)) == {"filler", "kfastd.lock"}


def test_a_disk_that_fills_up_while_kfastd_runs_costs_counters_and_no_record(broker):
    """The only thing that it keeps there after its start are counters."""
    with small_disk(2048) as directory:
        with Kfastd(config_for(broker.bootstrap, socket_dir=str(directory))) as kfastd:
            fill(directory)
            with contextlib.ExitStack() as stack:
                producers = [stack.enter_context(Producer(directory)) for _ in range(20)]
                for producer in producers:
                    producer.send("orders", None, b"v")
                for producer in producers:
                    assert producer.wait_reports(1)[0].outcome == DELIVERED
            kfastd.wait_log("no room for more counters in the stats segment: .*counted together")


def test_a_keeper_without_room_for_its_directory_is_told_so(broker):
    with small_disk(64, "nr_inodes=2") as disk:
        (disk / "filler").touch()
        refused(
            config_for(broker.bootstrap),
            rf"kfastd --keeper: cannot make {disk}/kfast-keeper-.*: No space left on device",
            arguments=("--keeper",),
            environment={"RUNTIME_DIRECTORY": str(disk)},
        )


# What is there is nonsense


@pytest.mark.parametrize(
    "name, words",
    [
        ("kfastd.lock", "cannot write in {}: Is a directory"),
        ("stats", "cannot put into its place the stats segment {}/stats.new: Is a directory"),
        ("stats.new", "cannot create the stats segment {}/stats.new: File exists"),
    ],
)
def test_a_directory_in_the_place_of_one_of_its_files_is_named(broker, name, words):
    directory = temporary_directory("nonsense")
    (directory / name).mkdir()
    refused(config_for(broker.bootstrap), words.format(directory), socket_dir=directory)
    assert (directory / name).is_dir()


def test_garbage_in_its_own_files_is_written_over(broker):
    directory = temporary_directory("garbage")
    for name in ("kfastd.lock", "stats", "stats.new"):
        (directory / name).write_bytes(os.urandom(5000))
    with Kfastd(config_for(broker.bootstrap), socket_dir=directory) as kfastd:
        works(kfastd)
        assert kfastctl.run(directory, "health").returncode == 0


def test_kfastctl_says_of_a_stats_file_of_another_version_what_it_is(broker):
    with Kfastd(config_for(broker.bootstrap)) as kfastd:
        with open(kfastd.socket_dir / "stats", "r+b") as stats:
            stats.seek(STATS_LAYOUT_AT)
            stats.write(struct.pack("<I", 99))
        done = kfastctl.run(kfastd.socket_dir, "stat", "--once")
        assert done.returncode != 0
        assert b"layout 99" in done.stderr, done.stderr
        works(kfastd)


# The log goes nowhere


@contextlib.contextmanager
def logging_to(config, stderr):
    """A kfastd whose stderr that is."""
    kfastd = Kfastd(config, start=False)
    process = Process(
        [default_binary(), "--config", kfastd.config_file],
        stderr=stderr,
        env={**os.environ, "NOTIFY_SOCKET": str(kfastd.notify.path)},
    )
    try:
        assert kfastd.notify.wait("READY", "1", 60, lambda: process.running)
        yield kfastd
        process.signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        kfastd.discard()


def test_a_log_on_a_full_disk_stops_nothing(broker):
    with small_disk(64) as disk, open(disk / "log", "wb") as log:
        with logging_to(config_for(broker.bootstrap), log) as kfastd:
            fill(disk)
            for _ in range(30):
                works(kfastd)
            assert os.stat(disk / "log").st_size <= 4096


def test_a_log_that_nobody_reads_any_more_stops_nothing(broker):
    reading, writing = os.pipe()
    with logging_to(config_for(broker.bootstrap), writing) as kfastd:
        os.close(writing)
        os.close(reading)
        for _ in range(30):
            works(kfastd)


def test_a_log_whose_reader_hangs_stops_nothing_and_says_what_was_lost(broker):
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 8192)
    with logging_to(config_for(broker.bootstrap), writing) as kfastd:
        os.close(writing)
        for _ in range(60):
            works(kfastd)
        text = os.read(reading, 65536)
        assert b"channel opened channel=1 " in text and b"channel=60" not in text
        works(kfastd)
        assert re.search(rb"warn \d+ lines of the log were lost here", os.read(reading, 65536))
    os.close(reading)
