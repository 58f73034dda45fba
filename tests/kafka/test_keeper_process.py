"""kfastd --keeper as a process: its children, its limits, how it is called."""

import os
import signal
import sys

import pytest

from harness.daemon import Kfastd, config_for, default_binary
from harness.mock_broker import MockBroker
from harness.raw_session import RawSession
from harness.worker import Worker

# Runs kfastd with a child that is not its own, which ends when the other end of the FIFO is opened and closed.
_WITH_ORPHAN = """#!{python}
import os, sys
child = os.fork()
if child == 0:
    os.closerange(0, 3)
    open("{directory}/end", "rb").read()
    os._exit(0)
print("orphan", child, flush=True)
os.execv("{kfastd}", ["kfastd", *sys.argv[1:]])
"""

_WITH_FEW_DESCRIPTORS = """#!/bin/sh
exec prlimit --nofile={most}:{most} -- "{kfastd}" "$@"
"""


@pytest.fixture
def config():
    with MockBroker() as broker:
        yield config_for(broker.bootstrap)


def script(directory, text: str, **values):
    path = directory / "kfastd"
    path.write_text(text.format(kfastd=default_binary(), directory=directory, **values))
    path.chmod(0o755)
    return path


def child_of(kfastd) -> int:
    """The kfastd that the keeper runs now."""
    return int((kfastd.socket_dir / "kfastd.lock").read_text())


def parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("argument", ["--keeper", "--keeper=true"])
def test_a_keeper_has_one_child_however_it_was_told(config, argument):
    with Kfastd(config, arguments=(argument,)) as kfastd:
        assert parent_of(child_of(kfastd)) == kfastd.pid


def test_a_keeper_passes_on_what_it_has_with_hardly_a_descriptor_left(config, tmp_path):
    binary = script(tmp_path, _WITH_FEW_DESCRIPTORS, most=400)
    with Kfastd(config, binary=binary, arguments=("--keeper",)) as kfastd:
        with RawSession(kfastd.socket_dir) as session:
            session.greet()
            for _ in range(50):
                session.open(ring=4096, reports_ring=4096, topics=1).close()
            kfastd.notify.clear()
            os.kill(child_of(kfastd), signal.SIGKILL)
            kfastd.wait_ready()
            kfastd.wait_log("200 descriptors are kept")
            for number in range(1, 51):
                kfastd.wait_log(f"channel adopted channel={number} ")


def test_a_keeper_reaps_children_that_are_not_its_own(config, tmp_path):
    os.mkfifo(tmp_path / "end")
    binary = script(tmp_path, _WITH_ORPHAN, python=sys.executable)
    with Kfastd(config, binary=binary, arguments=("--keeper",)) as kfastd:
        orphan = kfastd.wait_log(r"orphan (\d+)").group(1)
        pidfd = os.pidfd_open(int(orphan))
        (tmp_path / "end").open("wb").close()
        try:
            while True:
                signal.pidfd_send_signal(pidfd, 0)  # succeeds for a zombie
        except ProcessLookupError:
            os.close(pidfd)


def test_a_keeper_that_is_killed_takes_what_it_kept_with_it_and_kfastd_says_so():
    config = config_for("127.0.0.1:1", drain_timeout_ms=1)
    with Kfastd(config, arguments=("--keeper",)) as kfastd:
        with Worker(kfastd.socket_dir) as worker:
            worker.send("orders", None, b"v")
            worker.kill()
        os.kill(kfastd.pid, signal.SIGKILL)
        kfastd.wait_log("NOTIFY_SOCKET takes no message")
        kfastd.wait_log("1 records of 1 channels whose workers are gone are lost.* channels= 1")
        kfastd.kill()
