"""librdkafka gives up on an idempotent producer: another one goes on, and nothing is lost."""

import collections

import pytest

from harness import kfastctl
from harness.daemon import Kfastd, config_for
from harness.kfast import DELIVERED, Producer
from harness.mock_broker import MockBroker
from harness.worker import Worker

NO_ERROR = 0
OUT_OF_ORDER_SEQUENCE_NUMBER = 45


def test_what_has_no_outcome_is_sent_again_by_a_new_producer():
    with MockBroker() as broker, Kfastd(config_for(broker.bootstrap)) as kfastd:
        topic = broker.topic("orders")
        with Producer(kfastd.socket_dir) as producer, Producer(kfastd.socket_dir) as other:
            producer.send(topic, None, b"warm")
            producer.wait_reports(1)
            for round in range(3):
                replaced = kfastd.mark()
                broker.fail(OUT_OF_ORDER_SEQUENCE_NUMBER)
                sent = [producer.send(topic, None, b"%d" % n) for n in range(2000)]
                others = [other.send(topic, None, b"%d" % n) for n in range(10)]
                for worker, positions in ((producer, sent), (other, others)):
                    reports = worker.wait_reports(len(positions))
                    assert {report.position for report in reports} == set(positions)
                    assert all(report.outcome == DELIVERED for report in reports)
                    # Delivered once each, by what was reported: no offset belongs to two records.
                    offsets = collections.Counter(report.offset for report in reports)
                    assert offsets.most_common(1)[0][1] == 1
                kfastd.wait_log(
                    "fatal Kafka error profile=default .*sequence desynchronization", since=replaced
                )
                kfastd.wait_log("Kafka producer replaced profile=default", since=replaced)
            stats = kfastctl.stat(kfastd.socket_dir)
            assert stats.value("kfast_instances_replaced_total") == 3
            resubmitted = stats.value(
                "kfast_resubmitted_messages_total", topic=topic, reason="instance_replaced"
            )
            assert resubmitted >= 3
            assert stats.outcomes(topic) == {"delivered": 6031}
            assert stats.value("kfast_profile_in_flight_messages") == 0


def test_a_dead_workers_records_survive_it():
    with MockBroker() as broker, Kfastd(config_for(broker.bootstrap)) as kfastd:
        topic = broker.topic("orders")
        broker.fail(OUT_OF_ORDER_SEQUENCE_NUMBER)
        with Worker(kfastd.socket_dir) as worker:
            worker.begin("send_numbered", topic, b"p", 5000)
            worker.result()
            worker.kill()
        kfastd.wait_log("channel closed")
        stats = kfastctl.stat(kfastd.socket_dir)
        assert stats.outcomes(topic)["delivered"] == 5000


@pytest.mark.parametrize("end", [Kfastd.terminate, Kfastd.kill])
def test_a_kfastd_that_ends_in_the_middle_of_it_loses_nothing(end):
    with MockBroker() as broker, Kfastd(config_for(broker.bootstrap)) as kfastd:
        topic = broker.topic("orders")
        with Producer(kfastd.socket_dir) as producer:
            producer.send(topic, None, b"warm")
            producer.wait_reports(1)
            broker.fail(OUT_OF_ORDER_SEQUENCE_NUMBER)
            sent = [producer.send(topic, None, b"%d" % n) for n in range(3000)]
            kfastd.wait_log("fatal Kafka error")
            end(kfastd)
            kfastd.wait()
            kfastd.start()
            reports = producer.wait_reports(len(sent))
            assert {report.position for report in reports} == set(sent)
            assert all(report.outcome == DELIVERED for report in reports)


@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dead"])
def test_a_channel_whose_worker_is_away_survives_it(dies):
    config = {"batch.num.messages": 100, "max.in.flight.requests.per.connection": 1}
    with MockBroker() as broker, Kfastd(config_for(broker.bootstrap, config), fd_store=True) as kfastd:
        topic, count = broker.topic("orders"), 2000
        with Worker(kfastd.socket_dir) as worker:
            worker.send(topic, None, b"warm")
            worker.wait_reports(1)
            kfastd.kill()
            sent = [worker.send(topic, None, b"%d" % n) for n in range(count)]
            if dies:
                worker.kill()
            broker.fail(NO_ERROR, count=5)  # some are delivered before it
            broker.fail(OUT_OF_ORDER_SEQUENCE_NUMBER)
            kfastd.start()
            kfastd.wait_log("fatal Kafka error profile=default")
            kfastd.wait_log("Kafka producer replaced profile=default")
            if dies:
                kfastd.wait_log("channel closed channel=1")
            else:
                reports = worker.wait_reports(count)
                assert [report.position for report in reports] == sent
                assert all(report.outcome == DELIVERED for report in reports)
                assert len({report.offset for report in reports}) == count
                worker.flush()
                assert worker.reports() == [] and worker.used_bytes() == 0
        stats = kfastctl.stat(kfastd.socket_dir)
        assert stats.outcomes(topic) == {"delivered": count}
        again = stats.value(
            "kfast_resubmitted_messages_total", topic=topic, reason="instance_replaced"
        )
        assert 1 <= again <= count - 500, "what had its outcome is not sent again"
        assert kfastctl.stat(kfastd.socket_dir).value("kfast_violations_total") == 0
