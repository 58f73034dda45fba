"""Where a process runs that is not beside the tests: commands for `within` of Process."""

import shlex
from pathlib import Path

from harness.process import temporary_directory

WORKER_USER = 23456  # a user without a name; some number that nobody has
AS_WORKER_USER = ("setpriv", f"--reuid={WORKER_USER}", f"--regid={WORKER_USER}", "--clear-groups")

PID_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def user_namespace(uid: int) -> tuple:
    """A user namespace of the worker's user, in which that user has the number `uid`."""
    return (*AS_WORKER_USER, "unshare", "--user", f"--map-user={uid}", f"--map-group={uid}")


def mounted(what: Path, where: Path, hidden: Path) -> tuple:
    """A mount namespace in which `what` (a directory or a file) is seen at `where` only, since
    `hidden`, in which it lies, is empty there.
    """
    script = " && ".join(
        [
            f"mount --bind {shlex.quote(str(what))} {shlex.quote(str(where))}",
            f"mount -t tmpfs tmpfs {shlex.quote(str(hidden))}",
            'exec "$@"',
        ]
    )
    return ("unshare", "--mount", "sh", "-c", script, "sh")


def mount_point(file: bool = False) -> Path:
    place = temporary_directory("mount") / "kfast"
    if file:
        place.touch()
    else:
        place.mkdir()
    return place


def program_within(command: tuple, program: Path) -> Path:
    """A program that runs `program` with its arguments under a command."""
    script = temporary_directory("within") / program.name
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} {shlex.quote(str(program))} "$@"\n')
    script.chmod(0o755)
    return script
