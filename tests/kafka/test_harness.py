"""The harness itself: Kafka clusters, the witness, and that nothing outlives a test run."""

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.kafka_cluster import KafkaCluster
from harness.process import live_processes
from harness.witness import Record, WitnessError, crc_sum, sequence_value

EVERY_BYTE = bytes(range(256))

CONTENTS = [
    dict(key=b"key", value=b"value", headers=[("name", b"data")]),
    dict(key=None, value=b"no key"),
    dict(key=b"tombstone", value=None),
    dict(key=b"", value=b""),
    dict(key=None, value=None),
    dict(key=EVERY_BYTE, value=EVERY_BYTE * 1000),
    dict(
        key=b"headers",
        value=b"v",
        headers=[
            ("twice", b"1"),
            ("other", EVERY_BYTE),
            ("twice", b"2"),
            ("empty", b""),
            ("null", None),
            ("", b"no name"),
            ("größe", b"non-ASCII"),
        ],
    ),
    dict(key=b"old", value=b"v", timestamp=0),
    dict(key=b"timed", value=b"v", timestamp=1_700_000_000_123),
]


def expected_records(contents, placed):
    return [
        Record(
            place.partition,
            place.offset,
            place.timestamp,
            "CreateTime",
            content["key"],
            content["value"],
            content.get("headers", []),
        )
        for content, place in zip(contents, placed)
    ]


@pytest.mark.parametrize("cluster", ["kafka", "kafka3"])
def test_all_content_survives_a_round_trip(cluster, request):
    cluster = request.getfixturevalue(cluster)
    topic = cluster.topic("content", partitions=3)
    contents = [{**content, "partition": n % 3} for n, content in enumerate(CONTENTS)]
    placed = cluster.witness.produce(topic, contents)
    assert [place.partition for place in placed] == [n % 3 for n in range(len(contents))]
    assert placed[7].timestamp == 0
    assert placed[8].timestamp == 1_700_000_000_123
    read = cluster.witness.read(topic)
    assert sorted(read) == sorted(expected_records(contents, placed))
    assert cluster.witness.count(topic) == len(contents)


def test_reading_a_count_waits_for_records_that_come_later(kafka):
    topic = kafka.topic("later")
    reading = kafka.witness.start_read(topic, count=2)
    kafka.witness.produce(topic, [dict(value=b"first")])
    kafka.witness.produce(topic, [dict(value=b"second")])
    assert [record.value for record in reading.result(60)[1]] == [b"first", b"second"]


def test_reading_more_than_there_is_fails(kafka):
    topic = kafka.topic("few")
    kafka.witness.produce(topic, [dict(value=b"only")])
    with pytest.raises(WitnessError, match="read 1 of 2 records"):
        kafka.witness.read(topic, count=2, timeout=1)


def test_topics_are_not_created_by_use(kafka):
    with pytest.raises(WitnessError):
        kafka.witness.produce("never-created", [dict(value=b"v")], timeout=1)
    with pytest.raises(WitnessError) as missing:
        kafka.witness.describe_topic("never-created")
    assert missing.value.kind == "UnknownTopicOrPartitionException"


def test_a_topic_can_be_configured_and_deleted(kafka):
    topic = kafka.topic("small", configs={"max.message.bytes": 1000})
    with pytest.raises(WitnessError) as refused:
        kafka.witness.produce(topic, [dict(value=b"x" * 2000)])
    assert refused.value.kind == "RecordTooLargeException"
    kafka.witness.configure_topic(topic, {"max.message.bytes": 10000})
    kafka.witness.produce(topic, [dict(value=b"x" * 2000)])
    with pytest.raises(WitnessError) as exists:
        kafka.create_topic(topic)
    assert exists.value.kind == "TopicExistsException"
    kafka.delete_topic(topic)
    with pytest.raises(WitnessError) as missing:
        kafka.witness.describe_topic(topic)
    assert missing.value.kind == "UnknownTopicOrPartitionException"


def test_the_java_clients_partitions_are_found(kafka):
    # Kafka's own test vectors for its hash.
    hashes = {b"21": -973932308, b"foobar": -790332482, b"": 275646681}
    found = kafka.witness.partitions_for(
        [*hashes, *(str(n).encode() for n in range(100, 300)), EVERY_BYTE], 12
    )
    for key, murmur2 in hashes.items():
        assert found[key] == (murmur2 & 0x7FFFFFFF) % 12
    assert set(found.values()) == set(range(12))


def test_a_digest_of_whole_sequences_shows_no_fault(kafka):
    topic = kafka.topic("whole", partitions=2)
    values = [sequence_value(n, b"filler") for n in range(1000)]
    producers = [b"a", b"b"]
    kafka.witness.produce(topic, [dict(key=p, value=v) for v in values for p in producers])
    digest = kafka.witness.digest(topic, expected=1000)
    assert (digest.count, digest.malformed, set(digest.producers)) == (2000, 0, set(producers))
    for tally in digest.producers.values():
        assert (tally.records, tally.distinct, tally.last, tally.crc_sum) == (
            1000,
            1000,
            999,
            crc_sum(values),
        )
        assert (tally.duplicates, tally.out_of_order, tally.missing, tally.unexpected) == (
            0,
            0,
            0,
            0,
        )


def test_a_digest_finds_every_fault(kafka):
    topic = kafka.topic("faults")
    sequences = {
        b"missing": [0, 1, 4],
        b"swapped": [0, 2, 1, 3],
        b"twice": [0, 1, 0, 2],
        b"more": [0, 1, 9],
    }
    records = [
        dict(key=k, value=sequence_value(n)) for k, numbers in sequences.items() for n in numbers
    ]
    kafka.witness.produce(
        topic, [*records, dict(key=b"k", value=b"short"), dict(key=b"k", value=None)]
    )
    digest = kafka.witness.digest(topic, expected=5)
    assert (digest.count, digest.malformed) == (16, 2)
    producers = digest.producers
    assert producers[b"missing"].first_missing == [2, 3] and producers[b"missing"].missing == 2
    assert (
        producers[b"swapped"].first_out_of_order == [1] and producers[b"swapped"].out_of_order == 1
    )
    assert producers[b"twice"].first_duplicates == [0]
    # A late duplicate breaks no order: first occurrences count.
    assert (producers[b"twice"].duplicates, producers[b"twice"].out_of_order) == (1, 0)
    assert producers[b"more"].first_unexpected == [9] and producers[b"more"].unexpected == 1


def test_a_digest_tells_producers_by_the_start_of_their_keys(kafka):
    topic = kafka.topic("prefix", partitions=4)
    kafka.witness.produce(
        topic, [dict(key=b"pp" + bytes([n % 16]), value=sequence_value(n)) for n in range(64)]
    )
    tally = kafka.witness.digest(topic, expected=64, producer_bytes=2).producers[b"pp"]
    assert (tally.distinct, tally.out_of_order, tally.missing) == (64, 0, 0)


def test_a_paused_broker_answers_when_it_is_resumed(kafka):
    kafka.pause(1)
    try:
        with pytest.raises(WitnessError):
            kafka.witness.describe_cluster(timeout=1)
    finally:
        kafka.resume(1)
    kafka.wait_nodes([1])
    topic = kafka.topic("resumed")
    kafka.witness.produce(topic, [dict(value=b"v")])
    assert kafka.witness.count(topic) == 1


def test_three_nodes_go_on_without_one(kafka3):
    topic = kafka3.topic("survives", partitions=3)
    assert kafka3.witness.describe_cluster()["nodes"] == [1, 2, 3]
    before = [dict(key=b"before", value=sequence_value(n), partition=n % 3) for n in range(300)]
    kafka3.witness.produce(topic, before)
    victim = kafka3.leader(topic)
    kafka3.kill(victim)
    others = [node for node in kafka3.nodes if node != victim]
    kafka3.wait_leaders(topic)
    kafka3.wait_nodes(others, dead=[victim])
    after = [dict(key=b"after", value=sequence_value(n), partition=n % 3) for n in range(300)]
    kafka3.witness.produce(topic, after)
    assert len(kafka3.witness.read(topic)) == 600
    kafka3.start(victim)
    kafka3.wait_in_sync(topic)
    digest = kafka3.witness.digest(topic, expected=300)
    assert {key: (tally.distinct, tally.missing) for key, tally in digest.producers.items()} == {
        b"before": (300, 0),
        b"after": (300, 0),
    }


def test_a_stopped_node_comes_back_with_its_data(kafka3):
    topic = kafka3.topic("stopped")
    kafka3.witness.produce(topic, [dict(value=b"v")])
    node = kafka3.leader(topic)
    kafka3.stop(node)
    assert not kafka3.running(node)
    kafka3.wait_leaders(topic)
    kafka3.start(node)
    kafka3.wait_in_sync(topic)
    assert [record.value for record in kafka3.witness.read(topic)] == [b"v"]


def test_a_closed_cluster_leaves_nothing(witness):
    with KafkaCluster(witness) as cluster:
        directory, pid = cluster.directory, cluster.pid(1)
        assert (directory / "node-1").is_dir()
    assert pid not in [process.pid for process in live_processes()]
    assert os.environ.get("KFAST_TEST_LOGS") or not directory.exists()


def test_a_bad_property_is_refused_by_name(witness):
    with pytest.raises(WitnessError, match="num.io.threads"):
        KafkaCluster(witness, node_properties={1: {"num.io.threads": "none"}})


def test_a_broker_that_does_not_start_shows_its_log(witness):
    with pytest.raises(
        RuntimeError, match=r"node 1 ended with status \d+:(.|\n)*no\.such\.Authorizer"
    ):
        KafkaCluster(witness, properties={"authorizer.class.name": "no.such.Authorizer"})


STARTS_EVERYTHING = """
import sys
from harness.kafka_cluster import KafkaCluster
from harness.witness import Witness
witness = Witness()
cluster = KafkaCluster(witness)
print(cluster.pid(1), witness.pid, flush=True)
if sys.argv[1] == "exit":
    sys.exit()
sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["exit", "SIGKILL"])
def test_no_process_outlives_its_run(end, tmp_path):
    # What a killed run leaves in its temporary directory is removed here.
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    run = subprocess.Popen(
        [sys.executable, "-c", STARTS_EVERYTHING, end],
        stdin=subprocess.PIPE,
        env=environment,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent,
        start_new_session=True,
    )
    with run:
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert len(pids) == 2
        descriptors = []
        for pid in pids:
            try:
                descriptors.append(os.pidfd_open(pid))
            except ProcessLookupError:
                assert end == "exit"
        if end == "SIGKILL":
            run.send_signal(signal.SIGKILL)
        run.wait(60)
        for descriptor in descriptors:
            assert select.select([descriptor], [], [], 60)[
                0
            ], "a process outlived the run that started it"
            os.close(descriptor)
    shutil.rmtree(tmp_path)
