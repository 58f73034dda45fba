"""kfastd as a service of the running systemd."""

import itertools
import os
import re
import subprocess
import threading
from pathlib import Path
from typing import Optional

from harness import toml
from harness.daemon import default_binary
from harness.process import (
    Process,
    forget_log,
    remove_directory,
    show_on_failure,
    temporary_directory,
)

from unit import Unit

_numbers = itertools.count(1)

# What docs/operations.md tells operators to write, but for RestartSec: a service that was killed
# waits until the test starts it, unless the test wants otherwise.
_SETTINGS = {
    "Type": "notify",
    "NotifyAccess": "main",
    "Restart": "always",
    "RestartSec": "1h",
    "FileDescriptorStoreMax": "4096",
}


class Service(Unit):
    """A unit of its own with kfastd on `config`; `settings` go into its [Service] section."""

    def __init__(self, config: dict, settings: dict):
        self.directory = temporary_directory("service")
        self.socket_dir = self.directory / "run"
        self.socket_dir.mkdir()
        super().__init__(f"kfastd-test-{os.getpid()}-{next(_numbers)}.service")
        self._unit_file = Path("/run/systemd/system") / self.unit
        self._log = self.directory / "kfastd.log"
        self._log.touch()
        config["daemon"] = {"socket_dir": str(self.socket_dir), **config["daemon"]}
        config_file = self.directory / "kfastd.toml"
        config_file.write_text(toml.dumps(config))
        lines = {
            **_SETTINGS,
            **settings,
            "ExecStart": f"{default_binary()} --config {config_file}",
            "StandardError": f"append:{self._log}",
        }
        self._unit_file.write_text(
            # Or systemd gives up after the fifth start, and the store with it.
            "[Unit]\nStartLimitIntervalSec=0\n[Service]\n"
            + "".join(f"{key}={value}\n" for key, value in lines.items())
        )
        self._lines: list[str] = []
        self._logged = threading.Condition()
        self._tail = Process(
            ["tail", "-n", "+1", "-f", str(self._log)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._reader = threading.Thread(target=self._read_log, name="service log", daemon=True)
        self._reader.start()
        show_on_failure(self.unit, self._log, lines=100)
        self.systemctl("daemon-reload")

    def discard(self) -> None:
        """Stops it and removes the unit."""
        subprocess.run(["systemctl", "kill", "--signal=KILL", self.unit], check=False)
        subprocess.run(["systemctl", "stop", self.unit], check=False)
        self._tail.kill()
        self._reader.join()
        forget_log(self.unit)
        self._unit_file.unlink()
        self.systemctl("daemon-reload")
        remove_directory(self.directory)

    # Log

    def _read_log(self) -> None:
        with self._tail.stdout as stream:
            for line in stream:
                with self._logged:
                    self._lines.append(line.decode(errors="replace").rstrip("\n"))
                    self._logged.notify_all()

    def mark(self) -> int:
        """The log's length in lines now, for `wait_log(…, since=mark)`."""
        with self._logged:
            return len(self._lines)

    def wait_log(self, regex: str, timeout: float = 60, since: int = 0) -> Optional[re.Match]:
        """Waits for a log line (of any life, from line `since` on) that matches; the match."""
        pattern = re.compile(regex)

        def found():
            return next(filter(None, map(pattern.search, self._lines[since:])), None)

        with self._logged:
            match = self._logged.wait_for(found, timeout)
            assert match, f"no log line matched {regex!r}:\n" + "\n".join(self._lines[since:])
            return match
