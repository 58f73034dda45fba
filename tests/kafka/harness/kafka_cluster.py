"""Apache Kafka for tests: one broker or a cluster of three on loopback, in KRaft mode."""

import itertools
import os
import signal
import subprocess
import time
from base64 import urlsafe_b64encode
from typing import Optional

from . import paths
from .class_archive import ClassArchive
from .ports import free_ports, release_ports
from .process import (
    Process,
    forget_log,
    remove_directory,
    show_on_failure,
    tail,
    temporary_directory,
)
from .witness import Witness, WitnessError

_cluster_numbers = itertools.count(1)


class KafkaCluster:
    """Real brokers (each one also a controller), numbered from 1. Up and ready when the constructor
    returns.

    `properties` go to every node's server.properties, `node_properties[n]` to node n's. Topics are
    not created by being used; with three nodes they have three replicas and min.insync.replicas=2.
    `witness` is the Java client on this cluster. `steady` brokers start slower and run faster, as
    benchmarks want it. `proxies` are the ports of a proxy for each node: clients that come through
    it, to `behind_proxy(node)`, are told to stay with it. `logins` are users and their passwords
    for SASL/PLAIN at `login_bootstrap`, a further listener of node 1. Use it as a context manager, or call
    `close`; brokers die with the tests in any case.
    """

    def __init__(
        self,
        witness: Witness,
        nodes: int = 1,
        properties: Optional[dict] = None,
        node_properties: Optional[dict] = None,
        steady: bool = False,
        proxies: tuple = (),
        logins: Optional[dict] = None,
    ):
        self.number = next(_cluster_numbers)
        self.nodes = list(range(1, nodes + 1))
        self.directory = temporary_directory("kafka")
        self._ports = free_ports(2 * nodes + len(proxies) + 1)
        self._proxies = list(proxies)
        self._logins = logins or {}
        self.login_bootstrap = f"127.0.0.1:{self._ports[-1]}"
        self._processes: dict[int, Process] = {}
        self._topics = itertools.count(1)
        self._libs = paths.kafka_libs()
        self._archive = ClassArchive(self._libs, record=nodes == 1)
        # The quick compiler alone starts a broker in two thirds of the time.
        self._compiler = [] if steady else ["-XX:TieredStopAtLevel=1"]
        self.bootstrap = ",".join(self.address(node) for node in self.nodes)
        self.witness = witness.at(self.bootstrap)
        # 16 bytes; it must not begin with a dash.
        cluster_id = urlsafe_b64encode(b"test" + os.urandom(12)).decode().rstrip("=")
        try:
            for node in self.nodes:
                self._write_properties(
                    node, {**(properties or {}), **(node_properties or {}).get(node, {})}
                )
                witness.call(
                    "format",
                    arguments=["format", "-t", cluster_id, "-c", str(self._properties(node))],
                )
            for node in self.nodes:
                self._launch(node)
            self.wait_nodes(self.nodes)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "KafkaCluster":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def address(self, node: int) -> str:
        """host:port of a node's listener for clients."""
        return f"127.0.0.1:{self._ports[2 * (node - 1)]}"

    def behind_proxy(self, node: int) -> str:
        """host:port of a node's listener for the proxy before it."""
        return f"127.0.0.1:{self._ports[2 * len(self.nodes) + node - 1]}"

    def log(self, node: int):
        """The path of a node's own log."""
        return self.directory / f"node-{node}.log"

    def _controller_address(self, node: int) -> str:
        return f"127.0.0.1:{self._ports[2 * (node - 1) + 1]}"

    def _properties(self, node: int):
        return self.directory / f"node-{node}.properties"

    def _write_properties(self, node: int, extra: dict) -> None:
        count = len(self.nodes)
        client, controller = self.address(node), self._controller_address(node)
        properties = {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": ",".join(
                f"{n}@{self._controller_address(n)}" for n in self.nodes
            ),
            "listeners": f"PLAINTEXT://{client},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{client}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.directory / f"node-{node}",
            "auto.create.topics.enable": "false",
            "default.replication.factor": count,
            "min.insync.replicas": 2 if count > 2 else 1,
            "offsets.topic.replication.factor": count,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": count,
            "transaction.state.log.min.isr": 2 if count > 2 else 1,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            # Records with old timestamps stay; so tests may send any.
            "log.retention.ms": -1,
            # A killed broker's partitions move sooner than after the default of 9 s.
            "broker.session.timeout.ms": 6000,
            "broker.heartbeat.interval.ms": 1000,
            "num.network.threads": 2,
            "num.io.threads": 4,
            # The default takes 128 MB of each broker's heap.
            "log.cleaner.dedupe.buffer.size": 8 << 20,
        }
        if self._proxies:
            properties["listeners"] += f",PROXIED://{self.behind_proxy(node)}"
            properties["advertised.listeners"] += f",PROXIED://127.0.0.1:{self._proxies[node - 1]}"
            properties["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
        if self._logins and node == 1:
            properties["listeners"] += f",LOGIN://{self.login_bootstrap}"
            properties["advertised.listeners"] += f",LOGIN://{self.login_bootstrap}"
            properties["listener.security.protocol.map"] += ",LOGIN:SASL_PLAINTEXT"
            properties["listener.name.login.sasl.enabled.mechanisms"] = "PLAIN"
            users = "".join(f' user_{name}="{word}"' for name, word in self._logins.items())
            properties["listener.name.login.plain.sasl.jaas.config"] = (
                f"org.apache.kafka.common.security.plain.PlainLoginModule required{users};"
            )
        properties.update(extra)
        self._properties(node).write_text(
            "".join(f"{key}={value}\n" for key, value in properties.items())
        )

    def _launch(self, node: int) -> None:
        with open(self.log(node), "ab") as log:
            self._processes[node] = Process(
                [
                    "java",
                    "-Xmx384m",
                    "-XX:+UseSerialGC",
                    *self._compiler,
                    *self._archive.options,
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                    "-Dorg.slf4j.simpleLogger.showDateTime=true",
                    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
                    "-cp",
                    f"{self._libs}/*",
                    "kafka.Kafka",
                    self._properties(node),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        show_on_failure(f"kafka {self.number} node {node}", self.log(node))

    # Topics

    def topic(
        self,
        name: str = "topic",
        partitions: int = 1,
        replication: Optional[int] = None,
        configs: Optional[dict] = None,
    ) -> str:
        """Creates a topic that no other test has; returns its name."""
        topic = f"{name}-{next(self._topics)}"
        self.witness.create_topic(topic, partitions, replication, configs)
        return topic

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        replication: Optional[int] = None,
        configs: Optional[dict] = None,
    ) -> None:
        self.witness.create_topic(name, partitions, replication, configs)

    def delete_topic(self, name: str) -> None:
        self.witness.delete_topic(name)

    def deleted(self, topic: str) -> list:
        """The directories of a deleted topic's partitions, until log.segment.delete.delay.ms."""
        return sorted(self.directory.glob(f"node-*/{topic}-*.*-delete"))

    def leader(self, topic: str, partition: int = 0) -> Optional[int]:
        """The node that leads a partition, None when it has no leader."""
        return self.witness.describe_topic(topic)[partition]["leader"]

    # Nodes

    def pid(self, node: int) -> int:
        return self._processes[node].pid

    def running(self, node: int) -> bool:
        return node in self._processes and self._processes[node].running

    def kill(self, node: int) -> None:
        """kill -9; returns when the process is gone. The cluster notices a few seconds later."""
        self._processes.pop(node).kill()

    def stop(self, node: int, timeout: float = 60) -> None:
        """SIGTERM: the node hands over its partitions and ends; returns when it has ended."""
        process = self._processes.pop(node)
        process.signal(signal.SIGTERM)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    def start(self, node: int, wait: bool = True) -> None:
        """Starts a node that was killed or stopped, on its data; returns when the cluster counts it
        as live.
        """
        assert not self.running(node), f"node {node} is running"
        self._launch(node)
        if wait:
            self.wait_nodes([node])

    def pause(self, node: int) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        self._processes[node].pause()

    def resume(self, node: int) -> None:
        self._processes[node].signal(signal.SIGCONT)

    # Waiting

    def wait_nodes(self, live: list, dead: list = (), timeout: float = 60) -> None:
        """Waits until the cluster's metadata has all nodes of `live`, none of `dead`, and a
        controller.
        """

        def reached():
            cluster = self.witness.describe_cluster(timeout=5)
            up = set(cluster["nodes"])
            return cluster["controller"] is not None and up.issuperset(live) and up.isdisjoint(dead)

        self._wait(reached, f"nodes {list(live)} to be live and {list(dead)} not", timeout)

    def wait_leaders(self, topic: str, nodes: Optional[list] = None, timeout: float = 60) -> None:
        """Waits until each partition of `topic` is led by one of `nodes` (or by any that runs)."""
        allowed = nodes or [node for node in self.nodes if self.running(node)]
        self._wait(
            lambda: all(p["leader"] in allowed for p in self.witness.describe_topic(topic)),
            f"leaders of {topic} among nodes {allowed}",
            timeout,
        )

    def wait_replicas(self, topic: str, count: int, timeout: float = 60) -> None:
        """Waits until each partition of `topic` has exactly `count` replicas in sync."""
        self._wait(
            lambda: all(len(p["isr"]) == count for p in self.witness.describe_topic(topic)),
            f"{count} replicas of {topic} in sync",
            timeout,
        )

    def wait_in_sync(self, topic: str, timeout: float = 60) -> None:
        """Waits until each partition of `topic` has all its replicas in sync."""
        self._wait(
            lambda: all(
                set(p["isr"]) == set(p["replicas"]) for p in self.witness.describe_topic(topic)
            ),
            f"all replicas of {topic} in sync",
            timeout,
        )

    def _wait(self, reached, what: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        last = ""
        while True:
            try:
                if reached():
                    return
            except WitnessError as error:
                last = f" ({error})"
            for node, process in self._processes.items():
                if not process.running:
                    raise RuntimeError(
                        f"Kafka node {node} ended with status {process.returncode}:\n"
                        f"{tail(self.log(node))}"
                    )
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout} s for {what}{last}")
            # Paces the questions, and wakes at once when a node ends.
            next(iter(self._processes.values())).wait_readable(None, 0.1)

    def close(self) -> None:
        """Ends every broker and removes their data."""
        if self._archive.recording:
            try:
                if self.running(1):
                    self.stop(1)
            except subprocess.TimeoutExpired:
                pass
            self._archive.keep()
        for process in self._processes.values():
            process.start_kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        for node in self.nodes:
            forget_log(f"kafka {self.number} node {node}")
        remove_directory(self.directory)
        if self._ports:
            release_ports(self._ports)
            self._ports = []
            self.witness.forget()
