"""The Debian packages: installed, removed and purged under a real systemd, with real Kafka."""

import re
import subprocess
from pathlib import Path

import readme
from harness.daemon import config_for
from harness.kfast import DELIVERED, KfastError
from harness.worker import Worker
from host import CONFIGURATION, folder_of
from unit import Unit

import pytest

# A container's dpkg: no systemd runs, as far as it can see.
WITHOUT_SYSTEMD = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run/systemd && "$@"', "sh")


def values_of(kafka, topic, count):
    return [record.value for record in kafka.witness.read(topic, count=count)]


def send_one(kafka, name: str) -> None:
    """A first record, from a shell."""
    topic = kafka.topic(name)
    subprocess.run(["kfastctl", "produce", "-t", topic], input=b"first\n", check=True)
    assert values_of(kafka, topic, 1) == [b"first"]


def serves(kafka, kfastd, name: str) -> None:
    """A new worker's record is delivered."""
    topic = kafka.topic(name)
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"v")
        assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]
    assert values_of(kafka, topic, 1) == [b"v"]


def test_a_fresh_installation_runs_and_takes_the_first_record(host, kafka):
    host.install("old")
    assert Unit("kfastd.service").show("ActiveState") == "active"
    assert Unit("kfastd.socket").show("ActiveState") == "active"
    assert Unit("kfastd.service").show("UnitFileState") == "enabled"
    # A first installation knows no brokers and allows nothing; a reload is all it takes.
    host.configure(config_for(kafka.bootstrap)).reload()
    send_one(kafka, "first")
    subprocess.run(["kfastctl", "health"], check=True)


def test_the_readmes_commands_install_the_packages(host, kafka):
    packages, _ = readme.blocks()
    host.follow_readme(packages, config_for(kafka.bootstrap))
    send_one(kafka, "readme")


def test_the_readmes_commands_install_the_tarball_without_dpkg(host, kafka):
    _, tarball = readme.blocks()
    host.follow_readme(tarball, config_for(kafka.bootstrap))
    try:
        host.configure(config_for(kafka.bootstrap)).reload()
        send_one(kafka, "tarball")
    finally:
        host.take_away()


def test_the_service_is_exposed_as_little_as_promised(running):
    running()
    ran = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "kfastd.service"],
        text=True,
        check=True,
        stdout=subprocess.PIPE,
    )
    exposure = re.search(r"Overall exposure level for kfastd.service: ([0-9.]+)", ran.stdout)
    assert float(exposure[1]) <= 1.5, ran.stdout


def test_kfastd_carries_a_librdkafka_only_where_the_systems_is_too_old(running):
    kfastd = running()
    ran = subprocess.run(["sh", "-c", '. /etc/os-release; echo "$ID$VERSION_ID"'], check=True, stdout=subprocess.PIPE)
    maps = Path("/proc", str(kfastd.pid), "maps").read_text()
    assert ("librdkafka.so.1" in maps) == (ran.stdout != b"debian12\n")
    version = re.search(r"librdkafka=(\d+)\.(\d+)", kfastd.log())
    assert (int(version[1]), int(version[2])) >= (2, 6)


def test_a_worker_that_connects_starts_a_kfastd_that_was_stopped(running, kafka):
    kfastd = running()
    kfastd.stop()
    assert kfastd.show("ActiveState") == "inactive"
    serves(kafka, kfastd, "activated")
    assert kfastd.show("ActiveState") == "active"


def test_two_instances_stand_side_by_side_through_an_upgrade_and_are_purged(host, kafka, running):
    before = host.files()
    running()
    instances = [host.configure(config_for(kafka.bootstrap), name) for name in ("a", "b")]
    for kfastd in instances:
        Unit.systemctl("enable", "--now", kfastd.unit, kfastd.socket.unit)
        serves(kafka, kfastd, "instance")
    pids = [kfastd.pid for kfastd in instances]
    host.install("new")
    for kfastd, pid in zip(instances, pids):
        assert kfastd.pid != pid
        serves(kafka, kfastd, "instance-upgraded")
    host.purge()
    assert [kfastd.show("ActiveState") for kfastd in instances] == ["inactive"] * 2
    assert host.files() - before == set()


def test_nginx_finds_the_lua_library_of_its_package(running, kafka, nginx):
    topic = kafka.topic("nginx")
    running()
    code = (
        f'ngx.say(require("resty.kfast").new_producer():send("{topic}", nil, ngx.var.arg_v, '
        "{wait = true}))"
    )
    server = nginx(f"location = /send {{ content_by_lua_block {{ {code} }} }}")
    assert server.text("/send?v=hello") == "00\n"
    assert values_of(kafka, topic, 1) == [b"hello"]


def test_every_function_has_its_manual_page(host):
    host.install("old")
    header = Path("/usr/include/kfast/kfast.h").read_text()
    functions = re.findall(r"^KFAST_API [^;(]*?(\w+)\(", header, re.MULTILINE)
    assert functions
    pages = Path("/usr/share/man/man3")
    for name in (*functions, "kfast.h"):
        assert (pages / f"{name}.3.gz").resolve() == pages / "kfast.3.gz"
    page = subprocess.run(["zcat", pages / "kfast.3.gz"], check=True, text=True, stdout=subprocess.PIPE)
    assert [name for name in functions if f".SS {name}\n" not in page.stdout] == []


def test_what_the_administrator_disabled_stays_so_through_an_upgrade(host, running):
    kfastd = running()
    Unit.systemctl("disable", "--now", kfastd.socket.unit, kfastd.unit)
    host.install("new")
    assert kfastd.show("ActiveState") == "inactive"
    assert kfastd.show("UnitFileState") == "disabled"


def test_an_upgrade_beside_a_configuration_that_is_refused_waits_for_a_better_one(host, kafka, running):
    kfastd = running()
    kfastd.write_config("[daemon]\nsocket_dri = '/x'\n")
    host.install("new")
    kfastd.write_config(config_for(kafka.bootstrap))
    kfastd.wait_shown("ActiveState", "active")
    serves(kafka, kfastd, "mended")


def test_purge_leaves_nothing(host, running):
    before = host.files()
    running()
    host.install("new")
    assert host.files() - before
    host.remove()
    host.purge()
    assert host.files() - before == set()
    assert not Path("/run/kfast").exists()


def test_a_purge_while_it_runs_leaves_nothing_and_tells_its_workers(host, kafka, running):
    before = host.files()
    kfastd = running()
    process = Path("/proc", str(kfastd.pid))
    topic = kafka.topic("purged")
    with Worker(kfastd.socket_dir) as worker:
        worker.send(topic, None, b"v")
        host.purge()
        assert not process.exists()
        assert [each.outcome for each in worker.wait_reports(1)] == [DELIVERED]
        worker.send(topic, None, b"w")
        with pytest.raises(KfastError, match="kfastd is away"):
            worker.flush(1000)
    assert host.files() - before == set()
    assert not Path("/run/kfast").exists()


def test_where_no_systemd_runs_it_installs_upgrades_and_purges(host):
    before = host.files()
    host.install("old", WITHOUT_SYSTEMD)
    host.install("new", WITHOUT_SYSTEMD)
    subprocess.run(["kfastd", "--check-config", CONFIGURATION], check=True)
    assert Path("/run/kfast").owner() == "kfast"
    host.purge(WITHOUT_SYSTEMD)
    assert host.files() - before == set()


def with_another_conffile(folder, line: str) -> list:
    """The packages of "new", of which kfast-daemon's has a further line in its kfastd.toml."""
    files = sorted(folder_of("new").glob("*.deb"))
    (daemon,) = [file for file in files if file.name.startswith("kfast-daemon_")]
    subprocess.run(["dpkg-deb", "--raw-extract", daemon, folder / "tree"], check=True)
    with open(folder / "tree/etc/kfast/kfastd.toml", "a") as shipped:
        shipped.write(line)
    subprocess.run(["dpkg-deb", "-Znone", "--build", folder / "tree", folder / daemon.name], check=True)
    return [file for file in files if file != daemon] + [folder / daemon.name]


def test_an_upgrade_brings_its_configuration_where_nobody_changed_the_former(host, tmp_path):
    host.install("old")
    host.install_files(with_another_conffile(tmp_path, "# one line more\n"))
    assert CONFIGURATION.read_text().endswith("# one line more\n")


def test_an_upgrade_lays_its_configuration_beside_one_that_was_changed(host, kafka, running, tmp_path):
    before = host.files()
    kfastd = running()
    written = CONFIGURATION.read_bytes()
    host.install_files(with_another_conffile(tmp_path, "# one line more\n"))
    assert CONFIGURATION.read_bytes() == written
    laid = CONFIGURATION.with_name("kfastd.toml.dpkg-dist")
    assert laid.read_text().endswith("# one line more\n")
    serves(kafka, kfastd, "conffile")
    host.purge()
    assert host.files() - before == set()
