"""One Kafka broker as production has it: SASL_SSL, SCRAM-SHA-256, and ACLs that refuse the rest."""

from pathlib import Path
from typing import Optional

from .certificates import Authority
from .daemon import config_for
from .kafka_cluster import KafkaCluster
from .ports import free_ports, release_ports
from .witness import Witness


class SecureKafka(KafkaCluster):
    """A broker with a further listener, `secure_bootstrap`, whose clients log in by SCRAM over TLS.

    `authority` has issued the broker's certificate. User:user1 (`password`) may write the topic
    "orders" and nothing else. The witness comes by the plain listener, as the super user
    User:ANONYMOUS.
    """

    user = "user1"
    allowed = "orders"

    def __init__(self, witness: Witness):
        (self._secure_port,) = self._secure_ports = free_ports(1)
        self.secure_bootstrap = f"127.0.0.1:{self._secure_port}"
        self.password = "first-Pa55word-of-user1"
        self.authority: Optional[Authority] = None
        self._secure: dict = {}
        super().__init__(witness, nodes=1)
        try:
            self.witness.set_password("admin", "pa55word-of-admin")
            self.set_password(self.password)
            self.create_topic(self.allowed, partitions=4)
            self.witness.allow(self.user, ["WRITE"], self.allowed)
        except BaseException:
            self.close()
            raise

    def _write_properties(self, node: int, extra: dict) -> None:
        if self.authority is None:
            self.authority = Authority(self.directory, "first")
            self._secure = self._tls(self.authority, [self.authority], "none")
        super()._write_properties(node, {**extra, **self._secure})
        # What the cluster says of its listeners is known only now.
        file = self._properties(node)
        lines = []
        for line in file.read_text().splitlines():
            if line.startswith(("listeners=", "advertised.listeners=")):
                line += f",SECURE://{self.secure_bootstrap}"
            elif line.startswith("listener.security.protocol.map="):
                line += ",SECURE:SASL_SSL"
            lines.append(line)
        file.write_text("\n".join(lines) + "\n")

    def _tls(self, authority: Authority, trusted: list, client_certificates: str) -> dict:
        certificate, key = authority.issue("broker")
        key_store = self.directory / "broker-keystore.pem"
        key_store.write_text(key.read_text() + certificate.read_text())
        trust_store = self.directory / "broker-truststore.pem"
        trust_store.write_text("".join(each.certificate.read_text() for each in trusted))
        listener = "listener.name.secure"
        return {
            f"{listener}.sasl.enabled.mechanisms": "SCRAM-SHA-256",
            f"{listener}.scram-sha-256.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            f"{listener}.ssl.keystore.type": "PEM",
            f"{listener}.ssl.keystore.location": key_store,
            f"{listener}.ssl.truststore.type": "PEM",
            f"{listener}.ssl.truststore.location": trust_store,
            f"{listener}.ssl.client.auth": client_certificates,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:admin;User:ANONYMOUS",
        }

    def set_password(self, password: str) -> None:
        """Gives user1 another password; who is logged in stays so until the connection ends."""
        self.witness.set_password(self.user, password)
        self.password = password

    def writable(self, name: str, partitions: int = 1) -> str:
        """A topic of the test's own that user1 may write."""
        topic = self.topic(name, partitions)
        self.witness.allow(self.user, ["WRITE"], topic)
        return topic

    def certify(self, authority: Authority, trusted: list, client_certificates: str) -> None:
        """From its next start on the broker has a certificate of `authority`. Clients'
        certificates, of `trusted` authorities, are "none", "requested" or "required"."""
        self.authority = authority
        self._secure = self._tls(authority, trusted, client_certificates)
        self._write_properties(1, {})

    def new_authority(self, name: str) -> Authority:
        return Authority(self.directory, name)

    def config(self, password_file: Path, properties: Optional[dict] = None) -> dict:
        """config_for a kfastd that is user1 here; `properties` are the profile's."""
        config = config_for(self.secure_bootstrap, properties)
        config["clusters"]["main"].update(
            {
                "security.protocol": "SASL_SSL",
                "sasl.mechanisms": "SCRAM-SHA-256",
                "sasl.username": self.user,
                "sasl.password": {"file": str(password_file)},
                "ssl.ca.location": str(self.authority.certificate),
            }
        )
        return config

    def close(self) -> None:
        super().close()
        if self._secure_ports:
            release_ports(self._secure_ports)
            self._secure_ports = []
