"""A Debian and what is installed on it."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Optional

from harness import toml
from harness.process import remove_directory, temporary_directory
from installed import Installed

import readme

# Where dpkg, the journal and the tests themselves write.
_NOT_LOOKED_AT = ["/dev", "/proc", "/sys", "/tmp", "/run", "/var/cache", "/var/lib/dpkg", "/var/log"]
_NOT_LOOKED_AT += [os.environ[name] for name in ("KFAST_ROOT", "KFAST_CACHE") if name in os.environ]


CONFIGURATION = Path("/etc/kfast/kfastd.toml")


def folder_of(version: str) -> Path:
    return Path(os.environ["KFAST_PACKAGES"], version)


def _files(version: str) -> list:
    return sorted(folder_of(version).glob("*.deb"))


def _names() -> list:
    return [file.name.partition("_")[0] for file in _files("old")]


def _run(*command: str, **more) -> str:
    ran = subprocess.run(
        command,
        text=True,
        timeout=300,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **more,
    )
    assert ran.returncode == 0, f"{' '.join(command)}:\n{ran.stdout}"
    return ran.stdout


class Host:
    """`version` is "old" or "new": the folders in $KFAST_PACKAGES that hold the two's packages."""

    def install(self, version: str, before: tuple = ()) -> str:
        """Installs the packages, or upgrades to them. What dpkg said. `before`: a command that runs
        dpkg.
        """
        return self.install_files(_files(version), before)

    @staticmethod
    def install_files(files: list, before: tuple = ()) -> str:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["dpkg", "--install", "--force-confold", *map(str, files)]
        return _run(*before, *command, env=environment)

    def follow_readme(self, block: str, config: dict) -> None:
        """Does what README.md tells. Its `editor` is an administrator who writes `config`."""
        programs = temporary_directory("programs")
        wanted = programs / "wanted.toml"
        wanted.write_text(toml.dumps(config))
        editor = programs / "editor"
        editor.write_text(f'#!/bin/sh\ntest -f "$1" && cat {wanted} >"$1"\n')
        editor.chmod(0o755)
        readme.run(block, folder_of("old"), programs)
        remove_directory(programs)

    def take_away(self) -> None:
        """Removes what the tarball brought."""
        (tarball,) = folder_of("old").glob("*.tar.gz")
        _run("systemctl", "disable", "--now", "kfastd.socket", "kfastd.service")
        for name in _run("tar", "-tzf", str(tarball)).splitlines():
            if not name.endswith("/"):
                Path("/", name).unlink()
        shutil.rmtree("/etc/kfast")
        _run("systemctl", "daemon-reload")

    def configure(self, config: dict, instance: Optional[str] = None) -> Installed:
        """Writes kfastd.toml, or the instance's file; the service that is to read it."""
        return Installed(config, instance)

    def remove(self, before: tuple = ()) -> None:
        _run(*before, "dpkg", "--remove", *_names())

    def purge(self, before: tuple = ()) -> None:
        _run(*before, "dpkg", "--purge", *_names())
        shutil.rmtree("/run/systemd/system/kfastd.service.d", ignore_errors=True)

    def version(self, package: str) -> str:
        return _run("dpkg-query", "--show", "--showformat=${Version}", package)

    @staticmethod
    def files() -> set:
        """Every path of the machine, but for where others write all the time."""
        found = set()
        for folder, folders, names in os.walk("/"):
            folders[:] = [n for n in folders if os.path.join(folder, n) not in _NOT_LOOKED_AT]
            found.update(os.path.join(folder, name) for name in folders + names)
        return found
