"""The commands that README.md has for a host that installs kfast: its blocks `sh host`."""

import os
import re
import subprocess
from pathlib import Path

from harness import paths


def blocks() -> list:
    text = (paths.REPOSITORY / "README.md").read_text()
    found = re.findall(r"^```sh host\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(found) == 2, "README.md installs from packages, then from the tarball"
    return found


def run(commands: str, folder: Path, programs: Path) -> None:
    """As root in `folder`, until one fails; `programs` are found before the system's."""
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "DEBIAN_FRONTEND": "noninteractive",
    }
    ran = subprocess.run(
        ["bash", "-e", "-x", "-o", "pipefail", "-c", commands],
        cwd=folder,
        env=environment,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
