"""A Debian and what is installed on it."""

import os
import shutil
import subprocess
from pathlib import Path

from installed import Installed

# Where dpkg, the journal and the tests themselves write.
_NOT_LOOKED_AT = ["/dev", "/proc", "/sys", "/tmp", "/run", "/var/cache", "/var/lib/dpkg", "/var/log"]
_NOT_LOOKED_AT += [os.environ[name] for name in ("KFAST_ROOT", "KFAST_CACHE") if name in os.environ]


def _files(version: str) -> list:
    return sorted(Path(os.environ["KFAST_PACKAGES"], version).glob("*.deb"))


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

    def install(self, version: str) -> str:
        """Installs the packages, or upgrades to them. What dpkg said."""
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["dpkg", "--install", "--force-confold", *map(str, _files(version))]
        return _run(*command, env=environment)

    def unpack(self) -> None:
        """Installs the tarball in the way that README.md tells."""
        (tarball,) = Path(os.environ["KFAST_PACKAGES"], "old").glob("*.tar.gz")
        _run("tar", "-C", "/", "-xzf", str(tarball))
        _run("systemd-sysusers", "kfast.conf")
        _run("systemd-tmpfiles", "--create", "kfast.conf")
        _run("systemctl", "daemon-reload")
        _run("systemctl", "enable", "--now", "kfastd.socket", "kfastd.service")

    def take_away(self) -> None:
        """Removes what the tarball brought."""
        (tarball,) = Path(os.environ["KFAST_PACKAGES"], "old").glob("*.tar.gz")
        _run("systemctl", "disable", "--now", "kfastd.socket", "kfastd.service")
        for name in _run("tar", "-tzf", str(tarball)).splitlines():
            if not name.endswith("/"):
                Path("/", name).unlink()
        shutil.rmtree("/etc/kfast")
        _run("systemctl", "daemon-reload")

    def configure(self, config: dict) -> Installed:
        """Writes kfastd.toml; the service that is to read it."""
        return Installed(config)

    def remove(self) -> None:
        _run("dpkg", "--remove", *_names())

    def purge(self) -> None:
        _run("dpkg", "--purge", *_names())
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
