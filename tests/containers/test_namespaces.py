"""A worker and kfastd are in different containers: what works, and what is refused and how."""

import os
import signal

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, default_binary
from harness.kfast import NO_DAEMON, PERMISSION, KfastError
from harness.worker import Worker

from place import (
    AS_WORKER_USER,
    PID_NAMESPACE,
    WORKER_USER,
    mount_point,
    mounted,
    program_within,
    user_namespace,
)

INSIDE = 1000  # a user's number in a user namespace


def refusal(kfastd, **how) -> str:
    with pytest.raises(KfastError) as error:
        Worker(kfastd.socket_dir, **how)
    assert error.value.code == PERMISSION, error.value
    return error.value.message


# Other namespaces than pid and user


@pytest.mark.parametrize("kind", ["--net", "--ipc", "--uts", "--cgroup", "--mount", "--time"])
def test_a_worker_in_a_namespace_of_its_own_sends(kfastd, delivers, kind):
    with Worker(kfastd.socket_dir, within=("unshare", kind)) as worker:
        assert delivers(worker)


def test_a_worker_in_a_pid_namespace_below_kfastds_sends_and_its_death_is_seen(kfastd, delivers):
    with Worker(kfastd.socket_dir, within=(*PID_NAMESPACE, *AS_WORKER_USER)) as worker:
        assert delivers(worker)
        opened = kfastd.wait_log(rf"channel opened channel=1 principal={WORKER_USER} pid=(\d+) ")
        assert int(opened[1]) not in (1, worker.pid), "its number here, and not the one in there"
    kfastd.wait_log("channel closed channel=1")
    assert kfastctl.stat(kfastd.socket_dir).value("kfast_sessions") == 0


def test_a_worker_in_a_user_namespace_is_the_user_that_it_is_outside(kfastd, delivers):
    with Worker(kfastd.socket_dir, within=user_namespace(INSIDE)) as worker:
        assert delivers(worker)
    kfastd.wait_log(f"channel opened channel=1 principal={WORKER_USER} ")


def test_a_worker_in_all_namespaces_that_a_container_has_sends(kfastd, delivers):
    everything = ("unshare", "--net", "--ipc", "--uts", "--cgroup", *PID_NAMESPACE[1:])
    where = mount_point()
    elsewhere = mounted(kfastd.socket_dir, where, kfastd.directory)
    with Worker(where, within=(*everything, *elsewhere, *user_namespace(INSIDE))) as worker:
        assert delivers(worker)
        kfastd.restart(kill=True)
        assert delivers(worker)


# Who is refused


def test_root_of_another_user_namespace_is_not_root(kfastd):
    why = refusal(kfastd, within=("unshare", "--user", "--map-root-user"))
    assert "root of another user or pid namespace (a container's) is not root here" in why


def test_root_of_another_pid_namespace_is_not_root(kfastd):
    assert "root of another user or pid namespace" in refusal(kfastd, within=PID_NAMESPACE)


def test_a_users_root_is_that_user_and_not_root(kfastd, delivers):
    with Worker(kfastd.socket_dir, within=user_namespace(0)) as worker:
        assert delivers(worker)
    kfastd.wait_log(f"channel opened channel=1 principal={WORKER_USER} ")


def test_a_user_whom_kfastds_namespace_does_not_know_is_nobody(config):
    """kfastd is in a user namespace, and sees all whom it cannot name as 65534."""
    inside = program_within(("unshare", "--user", "--map-root-user"), default_binary())
    with Kfastd(config, binary=inside) as kfastd:
        why = refusal(kfastd, uid=WORKER_USER)
        assert "uid 65534 is nobody's" in why


def test_a_kfastd_whose_pid_namespace_is_not_above_its_worker_says_so(config):
    inside = program_within(PID_NAMESPACE, default_binary())
    kfastd = Kfastd(config, binary=inside)
    try:
        with pytest.raises(KfastError) as error:
            Worker(kfastd.socket_dir, uid=WORKER_USER)
        assert "in a pid namespace that kfastd cannot see" in error.value.message
        assert "hostPID, or shareProcessNamespace" in error.value.message
    finally:
        kfastd.discard()


def test_two_containers_that_share_a_pid_namespace_work(config, delivers):
    """A sidecar: neither is in the host's, both are in one of their own."""
    inside = program_within(PID_NAMESPACE, default_binary())
    kfastd = Kfastd(config, binary=inside)
    try:
        (child,) = children_of(kfastd.pid)
        joined = ("nsenter", f"--target={child}", "--pid", "--mount")
        with Worker(kfastd.socket_dir, within=(*joined, *AS_WORKER_USER)) as worker:
            assert delivers(worker)
    finally:
        kfastd.discard()


def test_a_keeper_that_is_a_containers_first_process_delivers_what_its_dead_workers_sent(
    config, delivers
):
    inside = program_within(PID_NAMESPACE, default_binary())
    kfastd = Kfastd(config, binary=inside, arguments=("--keeper",))
    try:
        (keeper,) = children_of(kfastd.pid)
        (child,) = children_of(keeper)
        joined = ("nsenter", f"--target={keeper}", "--pid", "--mount")
        with Worker(kfastd.socket_dir, within=(*joined, *AS_WORKER_USER)) as worker:
            assert delivers(worker)
            os.kill(child, signal.SIGSTOP)
            for _ in range(9):
                worker.send("orders", None, b"v")
        os.kill(child, signal.SIGKILL)
        kfastd.wait_log("kfastd was killed by signal 9: it is started again")
        kfastd.wait_log("channel adopted channel=1 .*worker=gone")
        kfastd.wait_log("channel closed channel=1")
        assert kfastctl.stat(kfastd.socket_dir).outcomes("orders") == {"delivered": 9}
    finally:
        kfastd.discard()


def children_of(pid: int) -> list:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(number) for number in file.read().split()]


# What is mounted


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_a_worker_with_the_directory_mounted_goes_on_after_a_restart(kfastd, delivers, kill):
    where = mount_point()
    within = mounted(kfastd.socket_dir, where, kfastd.directory)
    with Worker(where, within=within, uid=WORKER_USER) as worker:
        assert delivers(worker)
        kfastd.restart(kill=kill)
        assert delivers(worker)
        kfastd.wait_log("channel taken back")


def test_a_worker_with_the_socket_mounted_is_an_orphan_after_a_restart(kfastd, delivers):
    """The mount is of the file, and the next kfastd makes another: why the directory is mounted."""
    where = mount_point() / "kfastd.sock"
    where.touch()
    within = mounted(kfastd.socket_dir / "kfastd.sock", where, kfastd.directory)
    with Worker(where.parent, within=within, uid=WORKER_USER) as worker:
        assert delivers(worker)
        kfastd.restart()
        worker.send("orders", None, b"v")
        with pytest.raises(KfastError) as error:
            worker.flush(2000)
        assert "kfastd is away" in error.value.message
        with pytest.raises(KfastError) as error:
            beside = ("nsenter", f"--target={worker.pid}", "--mount")
            Worker(where.parent, within=beside, uid=WORKER_USER)
        assert error.value.code == NO_DAEMON


def test_a_directory_that_is_mounted_read_only_is_enough_for_a_worker(kfastd, delivers):
    where = mount_point()
    script = f'mount --bind -o ro {kfastd.socket_dir} {where} && exec "$@"'
    within = ("unshare", "--mount", "sh", "-c", script, "sh")
    with Worker(where, within=within, uid=WORKER_USER) as worker:
        assert delivers(worker)
