"""kfastd as the repository's own units run it: installed, on what a package would install."""

import os
import re
import subprocess
from pathlib import Path
from typing import Optional

from harness import paths, toml

from unit import Unit

_CONFIGURATION = Path("/etc/kfast")


def install() -> None:
    """Once: puts kfastd, its units, its user and its folder into this system, which is lost after
    the tests.
    """
    build = paths.built("daemon/kfastd").parents[1]
    run = ["cmake", "--install", str(build), "--component", "daemon", "--prefix", "/usr/local"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    (_CONFIGURATION / "credentials").mkdir(parents=True, mode=0o700)
    for command in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
        subprocess.run(command, check=False)  # of this machine's other packages, some fail here
    Unit.systemctl("daemon-reload")


class Installed(Unit):
    """kfastd.service, or the instance of kfastd@.service, on a configuration. `settings` are further
    lines of [Service].
    """

    def __init__(self, config: dict, instance: Optional[str] = None, **settings):
        name = f"kfastd@{instance}" if instance else "kfastd"
        super().__init__(f"{name}.service")
        self.socket = Unit(f"{name}.socket")
        self.socket_dir = Path("/run/kfast", instance or "")
        self._config_file = _CONFIGURATION / f"{instance or 'kfastd'}.toml"
        self._settings = Path("/run/systemd/system", f"{self.unit}.d", "test.conf")
        self.write_config(config)
        if settings:
            self._settings.parent.mkdir(parents=True)
            lines = "".join(f"{key}={value}\n" for key, value in settings.items())
            self._settings.write_text("[Service]\n" + lines)
            self.systemctl("daemon-reload")

    def write_config(self, config) -> None:
        """A dict, or text."""
        self._config_file.write_text(config if isinstance(config, str) else toml.dumps(config))

    def reload(self, fails: bool = False) -> str:
        return self.systemctl("reload", self.unit, fails=fails)

    def log(self) -> str:
        """What the journal has of it."""
        subprocess.run(["journalctl", "--sync"], check=True)
        ran = subprocess.run(
            ["journalctl", "--unit", self.unit, "--output", "cat", "--no-pager"],
            text=True,
            check=True,
            stdout=subprocess.PIPE,
        )
        return ran.stdout

    def wait_log(self, regex: str) -> None:
        """Until a line of the journal matches; fails with the journal when kfastd is gone first."""
        follow = subprocess.Popen(
            ["journalctl", "--unit", self.unit, "--output", "cat", "--lines", "all", "--follow"],
            text=True,
            stdout=subprocess.PIPE,
        )
        with follow:
            for line in follow.stdout:
                if re.search(regex, line):
                    break
            follow.kill()

    def discard(self) -> None:
        """Stops it, as an administrator who does not want it to come back."""
        self.systemctl("stop", self.socket.unit, self.unit)
        self._config_file.unlink()
        if self._settings.exists():
            self._settings.unlink()
            os.rmdir(self._settings.parent)
            self.systemctl("daemon-reload")
