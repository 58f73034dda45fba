"""What `cmake --install` and the rockspec bring is whole, and nginx finds it."""

import re
import subprocess
from pathlib import Path

import pytest

from harness import paths
from harness.process import remove_directory, temporary_directory
from nginx import LUA, Nginx

MODULES = sorted(path.relative_to(LUA).as_posix() for path in (LUA / "resty").rglob("*.lua"))


@pytest.fixture
def prefix():
    """The build under test, installed."""
    folder = temporary_directory("prefix")
    command = ["cmake", "--install", paths.build(), "--prefix", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield folder
    remove_directory(folder)


def test_the_installed_library_works_where_luajit_looks(kafka, kfastd, prefix):
    topic = kafka.topic("installed")
    code = f'ngx.say(require("resty.kafka.fast").new_producer():send("{topic}", nil, "v", {{wait = true}}))'
    server = Nginx(
        f"location = /send {{ content_by_lua_block {{ {code} }} }}",
        'init_by_lua_block { require "kfast_log" require "resty.kfast" }',
        "env KFAST_SOCKET_DIR;",
        environment={
            "KFAST_SOCKET_DIR": str(kfastd.socket_dir),
            "LD_LIBRARY_PATH": str(prefix / "lib"),
        },
        lua_path=f"{prefix}/share/lua/5.1/?.lua;{prefix}/share/kfast/lua/?.lua",
    )
    with server:
        assert server.text("/send") == "00\n"
        loaded = Path(f"/proc/{server.workers()[0]}/maps").read_text()
    assert f"{prefix}/lib/libkfast.so.0" in loaded and str(paths.build()) not in loaded


def test_the_rockspec_names_every_file():
    (rockspec,) = LUA.glob("*.rockspec")
    named = dict(re.findall(r'\["(resty\.[\w.]+)"\] = "([\w/.]+)"', rockspec.read_text()))
    assert sorted(named.values()) == MODULES
    for module, path in named.items():
        assert path == module.replace(".", "/") + ".lua"
    assert re.search(r'version = "(.*)-1"', rockspec.read_text()).group(1) in rockspec.name
