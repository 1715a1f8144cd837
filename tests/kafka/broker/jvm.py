"""Apache Kafka on the JVM, started for tests: one node that is broker and controller, and more brokers on wish.

Loaded by `conftest.py`. What it runs on is pinned in `pom.xml` and fetched by Maven.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
_POM = Path(__file__).with_name("pom.xml")
_START_S = 90.0
_FETCH_S = 240.0
_PATIENCE = [
    f"-D{name}={value}"
    for name, value in {
        "aether.connector.connectTimeout": 5000, "aether.connector.requestTimeout": 20_000,
        "aether.connector.http.retryHandler.count": 0, "maven.wagon.http.retryHandler.count": 0,
        "maven.wagon.rto": 20_000, "maven.wagon.httpconnectionManager.ttlSeconds": 20,
    }.items()
]  # fmt: skip
"""Where there is no repository Maven says so soon."""
_COMMON = """
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
auto.create.topics.enable=false
offsets.topic.num.partitions=2
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.enable=false
num.network.threads=2
num.io.threads=2
background.threads=2
replica.lag.time.max.ms=3000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


def missing() -> str:
    """Say what keeps a broker from starting here; empty where nothing does."""
    lacking = [name for name in ("java", "mvn") if shutil.which(name) is None]
    return f"{' and '.join(lacking)} not installed" if lacking else ""


def fetch(directory: Path) -> str:
    """Give the class path; fetches what is not in Maven's own cache yet.

    Raises:
        RuntimeError: Maven could not, or not soon enough.
    """
    file = directory / "classpath"
    for words in (["-o"], _PATIENCE):
        try:
            done = subprocess.run(
                ["mvn", "-q", "-B", *words, "-f", str(_POM), "dependency:build-classpath", f"-Dmdep.outputFile={file}"],
                capture_output=True, text=True, check=False, timeout=_FETCH_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"Maven did not fetch the broker within {_FETCH_S:.0f} s") from error
        if done.returncode == 0:
            return file.read_text(encoding="utf-8")
    why = done.stdout.strip().partition("\n")[0]
    raise RuntimeError(f"Maven could not fetch the broker: {why[:200]}")


@dataclass
class Node:
    """One process."""

    number: int
    port: int
    secure_port: int
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    def wait(self) -> None:
        """Wait until it takes connections."""
        deadline = time.monotonic() + _START_S
        while True:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, self.log.read_text(errors="replace")[-3000:]
                time.sleep(0.05)  # between two tries, not instead of one
            else:
                return


@dataclass
class Cluster:
    """Nodes that know each other; the first is the controller too."""

    java: list[str]
    nodes: list[Node] = field(default_factory=list)

    @property
    def servers(self) -> str:
        """Give the addresses for clients, comma-separated."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    @property
    def secure(self) -> str:
        """Give the address of the first node's TLS and SASL listener."""
        return f"localhost:{self.nodes[0].secure_port}"

    def allow(self, *rules: Sequence[str]) -> None:
        """Add access rules, each as `kafka-acls --add` takes it."""
        words = [*self.java, "org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.servers, "--add"]
        adding = [
            subprocess.Popen([*words, *rule], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for rule in rules
        ]
        for tool in adding:
            said, _ = tool.communicate(timeout=90)
            assert tool.returncode == 0, said

    def stop(self) -> None:
        """End all."""
        for node in self.nodes:
            node.kill()


def start_cluster(
    directory: Path, classpath: str, brokers: int = 1, security: str = "", scram: Sequence[str] = ()
) -> Cluster:
    """Format and start a cluster.

    Args:
        directory: Where it keeps everything.
        classpath: As `fetch` gives it.
        brokers: How many nodes.
        security: Properties of the listener SECURE; it is opened where some are given.
        scram: What `--add-scram` is told, once each.
    """
    java = [
        "java", "-Xms96m", "-Xmx288m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "-Dorg.apache.kafka.automatic.config.providers=none", "-cp", classpath,
    ]  # fmt: skip
    ports = _free_ports(2 * brokers + 1)
    controller, cluster = ports.pop(), Cluster(java)
    for number in range(1, brokers + 1):
        port, secure_port = ports.pop(), ports.pop()
        settings = directory / f"node-{number}.properties"
        settings.write_text(
            _settings(directory, number, controller, port, secure_port if security else 0, brokers)
            + security,
            encoding="utf-8",
        )
        words = [word for each in scram for word in ("--add-scram", each)]
        subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", settings, *words],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        log = directory / f"node-{number}.log"
        node = Node(number, port, secure_port, [*java, "kafka.Kafka", str(settings)], log)
        node.start()
        cluster.nodes.append(node)
    for node in cluster.nodes:
        node.wait()
    return cluster


def _settings(
    directory: Path, number: int, controller: int, port: int, secure_port: int, brokers: int
) -> str:
    first = number == 1
    listeners = [f"PLAIN://127.0.0.1:{port}"] + [f"SECURE://localhost:{secure_port}"] * bool(secure_port)
    lines = [
        f"process.roles={'broker,controller' if first else 'broker'}",
        f"node.id={number}",
        f"controller.quorum.voters=1@127.0.0.1:{controller}",
        f"listeners={','.join([*listeners, f'CONTROLLER://127.0.0.1:{controller}'][: None if first else -1])}",
        f"advertised.listeners={','.join(listeners)}",
        f"log.dirs={directory}/node-{number}",
        f"offsets.topic.replication.factor={min(brokers, 2)}",
        f"transaction.state.log.replication.factor={min(brokers, 2)}",
        "transaction.state.log.min.isr=1",
        "transaction.state.log.num.partitions=2",
    ]
    return "\n".join(lines) + _COMMON


def _free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on; Kafka cannot be told to choose its own."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports
