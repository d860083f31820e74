"""TLS between a real server and a real client on this machine."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carepost.base.errors import NotPossible
from carepost.infra.tls import DemoAuthority, ServerTls


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def hello(port: int, trusted: Path, **versions: ssl.TLSVersion) -> tuple[str, int]:
    """Connect, check the name, and give the protocol version and the certificate's number."""
    context = ssl.create_default_context(cafile=str(trusted))
    for name, version in versions.items():
        setattr(context, name, version)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    assert await reader.readline() == b"hello\n"
    described = writer.get_extra_info("ssl_object")
    serial = int(described.getpeercert()["serialNumber"], 16)
    version = described.version()
    writer.close()
    return version, serial


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


async def test_a_client_that_trusts_the_demo_authority_gets_in(tmp_path: Path, now: datetime) -> None:
    authority = DemoAuthority(tmp_path / "tls")
    tls = ServerTls(*authority.issue("server", ["localhost", "127.0.0.1"], now))
    async with serving(tls.context) as port:
        assert (await hello(port, authority.certificate))[0] == "TLSv1.3"
        assert (await hello(port, authority.certificate, maximum_version=ssl.TLSVersion.TLSv1_2))[0] == "TLSv1.2"
    assert (tmp_path / "tls" / "demo-ca.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tls" / "server.key").stat().st_mode & 0o777 == 0o600


async def test_a_stranger_to_the_authority_does_not(tmp_path: Path, now: datetime) -> None:
    tls = ServerTls(*DemoAuthority(tmp_path / "one").issue("server", ["localhost"], now))
    other = DemoAuthority(tmp_path / "two")
    other.ensure(now)
    async with serving(tls.context) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await hello(port, other.certificate)


def test_only_suites_with_authenticated_encryption_are_offered(tmp_path: Path, now: datetime) -> None:
    tls = ServerTls(*DemoAuthority(tmp_path).issue("server", ["localhost"], now))
    assert tls.context.minimum_version is ssl.TLSVersion.TLSv1_2
    names = [suite["name"] for suite in tls.context.get_ciphers()]
    assert names
    assert [name for name in names if not ("GCM" in name or "CHACHA20" in name)] == []
    port_25 = ServerTls(*DemoAuthority(tmp_path).issue("server", ["localhost"], now), opportunistic=True)
    weak = ("NULL", "EXP", "RC4", "MD5", "anon", "ADH", "DES")
    assert [
        suite["name"] for suite in port_25.context.get_ciphers() if any(word in suite["name"] for word in weak)
    ] == []


async def test_a_renewed_certificate_is_served_and_a_broken_one_is_not(tmp_path: Path, now: datetime) -> None:
    authority = DemoAuthority(tmp_path)
    certificate, key = authority.issue("server", ["localhost"], now)
    tls = ServerTls(certificate, key)
    async with serving(tls.context) as port:
        _, first = await hello(port, authority.certificate)
        assert tls.refresh() is False
        authority.issue("server", ["localhost"], now + timedelta(minutes=1))
        assert tls.refresh() is True
        _, second = await hello(port, authority.certificate)
        assert second != first
        certificate.write_text("rubbish")
        with pytest.raises(NotPossible, match="cannot be used"):
            tls.refresh()
        assert (await hello(port, authority.certificate))[1] == second


def test_files_that_cannot_be_used_are_refused_in_words(tmp_path: Path, now: datetime) -> None:
    with pytest.raises(NotPossible, match="cannot be used"):
        ServerTls(tmp_path / "absent.pem", tmp_path / "absent.key")
    authority = DemoAuthority(tmp_path)
    certificate, _ = authority.issue("one", ["localhost"], now)
    _, other_key = authority.issue("two", ["localhost"], now)
    with pytest.raises(NotPossible, match="cannot be used"):
        ServerTls(certificate, other_key)
