"""Errors of a broker that pass: its records wait, and come in order, each once. The broker is
librdkafka's own, which no other client reads here: what is checked are the offsets in the reports,
which it counts up from 0 for each record that it takes.
"""

import collections

import pytest

from harness.daemon import Kfastd, config_for
from harness.kfast import DELIVERED, Producer
from harness.mock_broker import MockBroker

KAFKA_STORAGE_ERROR = 56
NOT_ENOUGH_REPLICAS = 19
NOT_LEADER_OR_FOLLOWER = 6


@pytest.mark.parametrize(
    "error",
    [KAFKA_STORAGE_ERROR, NOT_ENOUGH_REPLICAS, NOT_LEADER_OR_FOLLOWER],
    ids=["full disk", "too few replicas", "leader moved"],
)
def test_records_wait_until_the_broker_can_write_again(error):
    # Small requests, so that some are behind the one that fails.
    quick = {"retry.backoff.ms": 20, "retry.backoff.max.ms": 20, "batch.num.messages": 10}
    with MockBroker() as broker, Kfastd(config_for(broker.bootstrap, quick)) as kfastd:
        topic = broker.topic("orders", 2)
        with Producer(kfastd.socket_dir) as producer:
            producer.send(topic, b"warm", b"warm")
            first = producer.wait_reports(1)[0]
            broker.fail(error, count=20)
            keys = [b"k%d" % (n % 8) for n in range(2000)]
            sent = [producer.send(topic, key, b"v") for key in keys]
            reports = {report.position: report for report in producer.wait_reports(len(sent))}
            assert list(sorted(reports)) == sent
            assert {report.outcome for report in reports.values()} == {DELIVERED}
            offsets = collections.defaultdict(list)
            offsets[first.partition].append(first.offset)
            partitions = {}
            for key, position in zip(keys, sent):
                report = reports[position]
                assert partitions.setdefault(key, report.partition) == report.partition
                offsets[report.partition].append(report.offset)
            for taken in offsets.values():
                assert taken == list(range(len(taken)))
