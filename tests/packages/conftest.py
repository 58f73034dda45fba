"""Fixtures for tests of the packages, in a Debian of their own; tools/install-test boots one and runs them in it."""

import os
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS / "kafka"), str(_TESTS / "systemd"), str(_TESTS / "lua")]

from harness.daemon import config_for  # noqa: E402

from harness.fixtures import (  # noqa: E402, F401
    kafka,
    pytest_runtest_makereport,
    witness,
)

from host import Host  # noqa: E402
from nginx import Nginx  # noqa: E402


def pytest_configure(config):
    if "KFAST_PACKAGES" not in os.environ:
        raise pytest.UsageError("no packages to install here: use  tools/install-test")


@pytest.fixture
def host():
    """A Debian on which kfast is not installed; afterwards it is not, either."""
    host = Host()
    yield host
    host.purge()


@pytest.fixture
def running(host, kafka):
    """`running(**settings)`: kfastd of the packages, on a configuration that lets the tests write;
    `settings` are further lines of [Service].
    """

    def start(**settings):
        host.install("old")
        kfastd = host.configure(config_for(kafka.bootstrap))
        if settings:
            kfastd.set(**settings)
        kfastd.restart()
        return kfastd

    return start


@pytest.fixture
def nginx():
    """`nginx(server)` starts one that finds what is installed, and no more."""
    started = []

    def start(server):
        started.append(Nginx(server, environment={"LD_LIBRARY_PATH": ""}, lua_path=""))
        return started[-1]

    yield start
    for each in started:
        each.close()
