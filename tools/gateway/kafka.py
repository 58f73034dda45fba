"""Kafka beside the measurements: topics, how many records they hold, and brokers that are gone for a while."""

import os
import signal
import subprocess
import time

from processes import Failure

PARTITIONS = 4
LEADER_SECONDS = 20


class Kafka:
    """One broker, started by tools/bench-nginx."""

    def __init__(self, brokers, pid):
        self.brokers, self._pid = brokers, pid

    def create(self, topic):
        """Creates a topic, or finds it there, and waits until its partitions have leaders; how much it holds."""
        command = [
            "java", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp", os.environ["KFAST_KAFKA_LIBS"] + "/*", "org.apache.kafka.tools.TopicCommand",
            "--bootstrap-server", self.brokers, "--create", "--if-not-exists",
            "--topic", topic, "--partitions", str(PARTITIONS),
        ]  # fmt: skip
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise Failure(f"Kafka did not create the topic {topic}: {made.stdout}{made.stderr}")
        return self.count(topic)

    def count(self, topic):
        """How many records the topic holds: the sum of its partitions' ends. Asks again for a while where there is no
        answer: a partition has no leader while it is new, or while a broker that was stopped comes back."""
        end = time.monotonic() + LEADER_SECONDS
        while True:
            try:
                return self._count_once(topic)
            except Failure:
                if time.monotonic() > end:
                    raise
            time.sleep(0.1)

    def _count_once(self, topic):
        command = ["kcat", "-Q", "-b", self.brokers]
        for partition in range(PARTITIONS):
            command += ["-t", f"{topic}:{partition}:-1"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        ends = [int(line.rsplit(" ", 1)[1]) for line in asked.stdout.splitlines() if " offset " in line]
        if asked.returncode != 0 or len(ends) != PARTITIONS:
            raise Failure(f"Kafka did not say how much {topic} holds: {asked.stdout}{asked.stderr}")
        return sum(ends)

    def stop(self):
        """From now on it answers nobody."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self._pid, signal.SIGCONT)
