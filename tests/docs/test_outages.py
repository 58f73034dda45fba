"""What "Outages" in docs/operations.md says one sees, seen."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "kafka"))

from harness import kfastctl  # noqa: E402
from harness.daemon import Kfastd, config_for  # noqa: E402
from harness.kfast import (  # noqa: E402
    DELIVERED,
    FAILED,
    QUEUE_FULL,
    TIMED_OUT,
    KfastError,
    Producer,
)
from harness.mock_broker import MockBroker  # noqa: E402


def code_of(call, *arguments) -> int:
    try:
        call(*arguments)
    except KfastError as error:
        return error.code
    return 0


def test_an_outage_is_seen_as_the_guide_tells_it():
    with MockBroker() as broker:
        broker.topic("orders")
        with Kfastd(config_for(broker.bootstrap, {"message.timeout.ms": 15_000})) as kfastd:
            with Producer(kfastd.socket_dir, {"ring.bytes": "4k", "reports": "all"}) as producer:
                producer.send("orders", None, b"v")
                assert producer.wait_reports(1)[0].outcome == DELIVERED
                broker.__exit__()
                while code_of(producer.send, "orders", None, b"v" * 100) != QUEUE_FULL:
                    pass
                kfastd.wait_log("Kafka error .*error=_ALL_BROKERS_DOWN: ")
                kfastd.wait_log("Kafka error .*error=_TRANSPORT: ")
                health = kfastctl.run(kfastd.socket_dir, "health")
                assert health.returncode == 1
                assert b"warning: no broker answers" in health.stdout
                stats = kfastctl.stat(kfastd.socket_dir)
                assert stats.value("kfast_all_brokers_down") == 1
                assert stats.value("kfast_ring_used_bytes") > 3000
                assert code_of(producer.flush, 100) == TIMED_OUT
                report = producer.wait_reports(1)[0]
                assert (report.outcome, report.error_name) == (FAILED, "_MSG_TIMED_OUT")
                kfastctl.wait_stat(
                    kfastd.socket_dir,
                    lambda now: now.discarded("orders").get("timed_out"),
                    "discarded records",
                )
                assert code_of(producer.send, "orders", None, b"v") == 0
