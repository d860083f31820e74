"""Authorities and certificates for tests: right, wrong in one way each, and cheap."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Issued:
    """A certificate, its key, and those above it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: list[x509.Certificate] = field(default_factory=list)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def chain(self) -> list[bytes]:
        return [self.der, *(one.public_bytes(serialization.Encoding.DER) for one in self.above)]

    def write(self, folder: Path, name: str, *, with_chain: bool = True) -> tuple[Path, Path]:
        """PEM files: chain and key."""
        chain, key = folder / f"{name}.pem", folder / f"{name}.key"
        shown = [self.certificate, *(self.above if with_chain else ())]
        chain.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in shown))
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        key.chmod(0o600)
        return chain, key


@dataclass
class Authority:
    """Issues what it is asked for."""

    issued: Issued
    at: datetime = AT  # its certificates are good around this time

    @classmethod
    def make(
        cls, name: str = "Test authority", *, by: "Authority | None" = None, ca: bool = True, at: datetime = AT
    ) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        above = [] if by is None else [by.issued.certificate, *by.issued.above]
        builder = _builder(
            _name(name),
            by.issued.certificate.subject if by else _name(name),
            key,
            start=at - timedelta(days=365),
            end=at + timedelta(days=3650),
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        return cls(Issued(builder.sign(by.issued.key if by else key, hashes.SHA256()), key, above), at)

    def issue(
        self,
        *names: str,
        days: int = 90,
        since: timedelta = timedelta(days=1),
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> Issued:
        """For these host names or addresses; `days` below zero: it has run out."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        start = self.at - since if days > 0 else self.at - timedelta(days=400)
        builder = _builder(
            _name(names[0]), self.issued.certificate.subject, key, start=start, end=self.at + timedelta(days=days)
        )
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issued.key.public_key()), critical=False
        )
        certificate = builder.sign(self.issued.key, hashes.SHA256())
        return Issued(certificate, key, [self.issued.certificate, *self.issued.above])

    @property
    def pem(self) -> str:
        return self.issued.certificate.public_bytes(serialization.Encoding.PEM).decode()


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    start: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)
