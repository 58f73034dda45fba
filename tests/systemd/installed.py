"""kfastd as the repository's own units run it: installed, on what a package would install."""

import json
import os
import re
import subprocess
import threading
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
    for component in ("daemon", "ctl", "lib"):
        run = ["cmake", "--install", str(build), "--component", component, "--prefix", "/usr/local"]
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
            self.set(**settings)

    def set(self, **settings) -> None:
        """Further lines of [Service], in the place of those that were set before."""
        self._settings.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{key}={value}\n" for key, value in settings.items())
        self._settings.write_text("[Service]\n" + lines)
        self.systemctl("daemon-reload")

    def write_config(self, config) -> None:
        """A dict, or text."""
        self._config_file.write_text(config if isinstance(config, str) else toml.dumps(config))

    def reload(self, fails: bool = False) -> str:
        return self.systemctl("reload", self.unit, fails=fails)

    def _journal(self, since: Optional[str]) -> list:
        after = [] if since is None else ["--after-cursor", since]
        return ["journalctl", "--unit", self.unit, "--output", "cat", "--no-pager", *after]

    def mark(self) -> str:
        """The journal's end now, for `log(since=mark)`: it holds former tests' kfastd, too."""
        subprocess.run(["journalctl", "--sync"], check=True)
        command = ["journalctl", "--lines", "1", "--output", "json", "--output-fields", "MESSAGE"]
        ran = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        return json.loads(ran.stdout)["__CURSOR"]

    def log(self, since: Optional[str] = None) -> str:
        """What the journal has of it."""
        subprocess.run(["journalctl", "--sync"], check=True)
        ran = subprocess.run(self._journal(since), text=True, check=True, stdout=subprocess.PIPE)
        return ran.stdout

    def wait_log(self, regex: str, since: Optional[str] = None, timeout: float = 120) -> None:
        """Until a line of the journal matches."""
        follow = subprocess.Popen(
            [*self._journal(since), "--lines", "all", "--follow"],
            text=True,
            stdout=subprocess.PIPE,
        )
        patience = threading.Timer(timeout, follow.kill)
        patience.start()
        with follow:
            found = any(re.search(regex, line) for line in follow.stdout)
            follow.kill()
        patience.cancel()
        assert found, f"no log line matched {regex!r}:\n{self.log(since)}"

    def discard(self) -> None:
        """Stops it, as an administrator who does not want it to come back."""
        self.systemctl("stop", self.socket.unit, self.unit)
        self._config_file.unlink()
        if self._settings.exists():
            self._settings.unlink()
            os.rmdir(self._settings.parent)
            self.systemctl("daemon-reload")
