"""librdkafka's statistics, where a profile asks for them, reach kfastctl."""

from harness import kfastctl
from harness.daemon import Kfastd, check_config, config_for
from harness.kfast import Producer


def brokers(socket_dir) -> str:
    done = kfastctl.run(socket_dir, "brokers")
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_without_them_kfastctl_says_how_to_have_them(kafka, kfastd):
    assert '"statistics.interval.ms" = 10000' in brokers(kfastd.socket_dir)
    named = {
        metric["labels"].get("broker")
        for metric in kfastctl.stat(kfastd.socket_dir).document["metrics"]
    }
    assert named <= {None, "(other)"}


def test_each_broker_is_shown_with_its_figures(kafka):
    topic = kafka.topic("statistics")
    config = config_for(kafka.bootstrap, {"statistics.interval.ms": 100})
    assert "ok, 0 warning(s)" in check_config(config).stdout
    with Kfastd(config) as kfastd, Producer(kfastd.socket_dir) as producer:

        def answered(stats) -> bool:
            producer.send(topic, None, b"v")
            producer.wait_reports(1)
            return (
                stats.value("kfast_broker_up") >= 1
                and stats.value("kfast_broker_rtt_microseconds", quantile="0.99") > 0
                and stats.value("kfast_broker_tx_bytes_total") > 0
                and stats.value("kfast_broker_rx_bytes_total") > 0
            )

        kfastctl.wait_stat(kfastd.socket_dir, answered, "a broker's figures")
        header, titles, *rows = brokers(kfastd.socket_dir).splitlines()
        assert "running" in header and titles.startswith("broker")
        assert any(row.startswith(kafka.address(1)) and " UP " in row for row in rows), rows
        assert all(row.endswith("default") for row in rows), rows
        shown = kfastctl.run(kfastd.socket_dir, "stat", "--scope", "broker").stdout.decode()
        assert "kfast_broker_connects_total" in shown and "state cluster=main" in shown
        assert "kfast_produce" not in shown
