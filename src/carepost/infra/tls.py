"""TLS for our doors: contexts that pick up renewed certificates, and an authority for demos and tests.

Promises
    TLS 1.2 at least; suites that encrypt and authenticate in one (AEAD) with forward secrecy.
    A renewed certificate serves new connections within a minute, without a restart; one that does not fit its key is
    told about and the old one stays.
    The demo's authority is for one machine: its key is 0600 and it says what it is.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from carepost.base.errors import NotPossible

LOOK_SECONDS = 30.0
# BSI TR-02102-2 and the NCSC's recommended profiles for TLS 1.2; those of TLS 1.3 are all of this kind.
AEAD_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
# Port 25: the other choice of an old system is no encryption at all. RFC 7435 §3.
OPPORTUNISTIC_SUITES = AEAD_SUITES + ":DHE+AESGCM:ECDHE+AES:DHE+AES:!aNULL:!eNULL:!MD5:!DSS"
AUTHORITY_DAYS = 3650
LEAF_DAYS = 397  # the longest that browsers take


class ServerTls:
    """The context of one certificate: hand `context` to servers; they see renewals by themselves."""

    def __init__(self, certificate: Path, key: Path, *, opportunistic: bool = False, alpn: Sequence[str] = ()) -> None:
        """Raises NotPossible, in words, when the files can't be used."""
        self._certificate = certificate
        self._key = key
        self._seen = self._stamp()
        self.context = server_context(opportunistic=opportunistic, alpn=alpn)
        _load(self.context, certificate, key)

    def refresh(self) -> bool:
        """Take over files that have changed; whether there were any. Raises NotPossible and keeps the old ones."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        # First into a context that nobody uses: a half-written pair must not end up in the real one.
        _load(server_context(), self._certificate, self._key)
        _load(self.context, self._certificate, self._key)
        return True

    async def watch(self, tell: Callable[[str], None], *, every_seconds: float = LOOK_SECONDS) -> None:
        """Until cancelled: look for renewed files."""
        while True:
            await asyncio.sleep(every_seconds)
            try:
                if self.refresh():
                    tell("A renewed certificate is in use.")
            except NotPossible as error:
                tell(error.public)

    def _stamp(self) -> tuple[object, ...]:
        try:
            return tuple(
                (stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in map(Path.stat, (self._certificate, self._key))
            )
        except OSError:
            return ()


def server_context(*, opportunistic: bool = False, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """TLS for a door. `opportunistic` for port 25, where refusing old suites means no encryption."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(OPPORTUNISTIC_SUITES if opportunistic else AEAD_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or "they do not fit"
        raise NotPossible(f"The certificate {certificate} with the key {key} cannot be used: {reason}.") from error


def _no_passphrase() -> str:
    """Instead of asking at the terminal of a service."""
    raise ValueError("the key is locked by a passphrase")


@dataclass(frozen=True, slots=True)
class DemoAuthority:
    """A certificate authority in a folder, for the demo and the tests on one machine."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "demo-ca.pem"

    def ensure(self, now: datetime) -> None:
        """Make the authority unless it is there."""
        if self.certificate.exists() and (self.folder / "demo-ca.key").exists():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Carepost demonstration authority, for this machine only")
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            _builder(name, name, key.public_key(), now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(self.folder / "demo-ca.key", _key_pem(key), 0o600)
        _write(self.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)

    def issue(self, name: str, names: Sequence[str], now: datetime) -> tuple[Path, Path]:
        """A certificate for host names and addresses: the paths of chain and key, `<name>.pem` and `<name>.key`."""
        self.ensure(now)
        authority = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        authority_key = serialization.load_pem_private_key((self.folder / "demo-ca.key").read_bytes(), None)
        if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
            raise NotPossible(f"{self.folder} holds an authority that we did not make.")
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(names[0]), authority.subject, key.public_key(), now, LEAF_DAYS)
            .add_extension(x509.SubjectAlternativeName([_general_name(one) for one in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
            .sign(authority_key, hashes.SHA256())
        )
        chain = certificate.public_bytes(serialization.Encoding.PEM) + self.certificate.read_bytes()
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        _write(paths[1], _key_pem(key), 0o600)
        _write(paths[0], chain, 0o644)
        return paths


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        # Yesterday: clocks of one machine and its clients may differ.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        os.fchmod(handle, mode)
        file.flush()
        os.fsync(handle)
    fresh.replace(path)
