"""Processes of another user than the one who runs the tests."""

import os
import shutil
import subprocess


def command(uid: int, argv: list[str], environment: dict) -> list[str]:
    """What runs `argv` as that user and group, with no other groups and that environment only.

    Descriptors beyond the first three may not arrive: sudo closes them. Raises RuntimeError where
    this user may not do it.
    """
    user = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--pdeathsig", "KILL"]
    settings = [f"{name}={value}" for name, value in environment.items()]
    return [*_as_root(), "setpriv", *user, "--", "env", "-i", *settings, *argv]


def send_signal(group: int, number: int) -> None:
    """Signals a process group that may hold processes of other users, if it still exists."""
    subprocess.run(
        [*_as_root(), "kill", f"-{int(number)}", "--", f"-{group}"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def _as_root() -> list[str]:
    if os.getuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        raise RuntimeError(
            "this test runs a process as another user, and there is no sudo: run it as root"
        )
    tried = subprocess.run(
        [sudo, "-n", "true"],
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Like the process itself, which has no terminal: sudo remembers a password per terminal.
        start_new_session=True,
        check=False,
    )
    if tried.returncode != 0:
        raise RuntimeError(
            "this test runs a process as another user, and sudo wants a password for that: run it "
            f"as root, or let sudoers say NOPASSWD for this user. sudo says: {tried.stdout.strip()}"
        )
    return [sudo, "-n"]
