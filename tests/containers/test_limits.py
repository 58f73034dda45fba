"""A worker or kfastd has as little as a container may give it."""

import shutil

import pytest

from harness.daemon import Kfastd, default_binary
from harness.kfast import NO_MEMORY, KfastError
from harness.process import temporary_directory
from harness.worker import Worker

from place import AS_WORKER_USER, WORKER_USER, program_within

MIB = 1 << 20
DAEMON_USER = 10001  # the Containerfile's


# Memory


def test_a_worker_that_may_lock_no_memory_sends(kfastd, delivers):
    with Worker(kfastd.socket_dir, within=("prlimit", "--memlock=0:0")) as worker:
        assert delivers(worker)


def test_a_worker_whose_address_space_is_smaller_than_the_ring_is_told(kfastd):
    with pytest.raises(KfastError) as error:
        rings = {"ring.bytes": "512m", "report.bytes": "1m"}
        Worker(kfastd.socket_dir, rings, within=("prlimit", f"--as={512 * MIB}"))
    assert error.value.code == NO_MEMORY
    assert "make ring.bytes smaller, or raise the process's memory limits" in error.value.message


# Descriptors


def test_a_worker_with_too_few_descriptors_is_told(kfastd):
    with pytest.raises(KfastError) as error:
        Worker(kfastd.socket_dir, within=("prlimit", "--nofile=8:8"))
    assert error.value.code == NO_MEMORY
    assert "RLIMIT_NOFILE" in error.value.message


# Rights


def test_a_kfastd_without_any_right_serves_workers_of_other_users(config, delivers):
    """As the Kubernetes examples have it: a user of its own, no capability, none to be had."""
    place = temporary_directory("rights")
    program = place / "kfastd"
    shutil.copyfile(default_binary(), program)
    program.chmod(0o755)
    sockets = place / "run"
    sockets.mkdir()
    shutil.chown(sockets, DAEMON_USER, DAEMON_USER)
    user = (
        "setpriv",
        f"--reuid={DAEMON_USER}",
        f"--regid={DAEMON_USER}",
        "--clear-groups",
        "--no-new-privs",
        "--inh-caps=-all",
        "--bounding-set=-all",
    )
    with Kfastd(config, socket_dir=sockets, binary=program_within(user, program)) as kfastd:
        for within in (AS_WORKER_USER, (*AS_WORKER_USER, "unshare", "--user", "--map-user=7")):
            with Worker(kfastd.socket_dir, within=within) as worker:
                assert delivers(worker)
        kfastd.wait_log(f"channel opened channel=2 principal={WORKER_USER} ")
