"""A unit of the running systemd, as its administrator sees it."""

import os
import select
import signal
import subprocess


class Unit:
    def __init__(self, name: str):
        self.unit = name

    @staticmethod
    def systemctl(*arguments: str, fails: bool = False) -> str:
        """Its output. `fails`: it has to."""
        ran = subprocess.run(
            ["systemctl", *arguments],
            text=True,
            timeout=120,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert (ran.returncode != 0) == fails, f"systemctl {' '.join(arguments)}:\n{ran.stdout}"
        return ran.stdout

    def start(self) -> None:
        """Returns when kfastd has said READY=1."""
        self.systemctl("start", self.unit)

    def restart(self) -> None:
        """`systemctl restart`; a service that was killed and waits for its RestartSec starts now."""
        self.systemctl("restart", self.unit)

    def stop(self) -> None:
        self.systemctl("stop", self.unit)

    def show(self, name: str) -> str:
        """One property of the unit."""
        return self.systemctl("show", f"--property={name}", "--value", self.unit).strip()

    def wait_shown(self, name: str, value: str) -> None:
        """Until the property has the value: each look is a request that systemd answers."""
        while self.show(name) != value:
            pass

    @property
    def pid(self) -> int:
        return int(self.show("MainPID"))

    @property
    def stored(self) -> int:
        """How many descriptors systemd keeps."""
        return int(self.show("NFileDescriptorStore"))

    def kill(self, hold: bool = True) -> None:
        """kill -9; returns when the process is gone. `hold`: also when systemd knows of it."""
        pidfd = os.pidfd_open(self.pid)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        select.select([pidfd], [], [])
        os.close(pidfd)
        if hold:
            self.wait_shown("SubState", "auto-restart")
