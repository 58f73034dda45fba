"""Python, the harness and libkfast where every user can reach them: the clone may be private."""

import functools
import os
import shutil
import stat
import sys
from pathlib import Path

from . import paths
from .process import temporary_directory


@functools.lru_cache(maxsize=None)
def _copy() -> Path:
    copy = temporary_directory("readable")
    library = copy / "build" / "client" / "libkfast.so.0"
    library.parent.mkdir(parents=True)
    shutil.copyfile(paths.built("client/libkfast.so.0"), library)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(__file__).parent, copy / "harness", ignore=ignore)
    for path in copy.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return copy


def _open_to_all(path: Path) -> bool:
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))


def python() -> str:
    """An interpreter that every user may run: this one, or the system's."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        path = Path(os.path.realpath(candidate))
        if path.exists() and _open_to_all(path):
            return candidate
    raise RuntimeError(
        f"this test runs Python as another user, who cannot reach {sys.executable}: "
        "install python3 under /usr (tools/setup test does)"
    )


def kfastctl() -> tuple:
    """kfastctl for another user: the program, and the environment that it needs."""
    program = _copy() / "build" / "kfastctl"
    if not program.exists():
        shutil.copyfile(paths.built("tools/kfastctl/kfastctl"), program)
        program.chmod(0o755)
    return program, {"LD_LIBRARY_PATH": str(_copy() / "build" / "client")}


def environment() -> dict:
    """The environment in which another user's Python finds `harness`, and that finds libkfast. The
    copy behind it is made once and removed when the tests end.
    """
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_copy()),
        "KFAST_BUILD": str(_copy() / "build"),
    }
