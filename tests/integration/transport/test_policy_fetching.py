"""MTA-STS policies from web servers that obey, redirect, flood, hang or show the wrong certificate. RFC 8461 §3.3."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.outside_mail import server_tls
from tests.fakes.sending_world import LOOPBACK, real_authority, strange_authority

from carepost.base.address import Domain
from carepost.delivery.fetch import FetchPolicy, HttpsPolicyFetcher
from carepost.delivery.hosts import HostPolicy
from carepost.delivery.link import ClientTls
from carepost.delivery.sts_policies import PolicyNotFetched
from carepost.mailauth.resolver import FakeResolver
from carepost.mailauth.tls_report import FailureKind

TRUST = Domain("trust.example")
TEXT = b"version: STSv1\nmode: enforce\nmx: mx.trust.example\nmax_age: 604800\n"


def answer(body: bytes = TEXT, status: str = "200 OK", kind: str = "text/plain", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


@contextlib.contextmanager
def web_server(reply: bytes, tls: ssl.SSLContext | None, *, hang: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """In a thread: which event loop the fetcher runs on is none of its business."""
    asked: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(20)

    def serve() -> None:
        with contextlib.suppress(OSError):
            plain, _ = listening.accept()
            with plain:
                plain.settimeout(20)
                wire = plain if tls is None else tls.wrap_socket(plain, server_side=True)
                with wire:
                    asked.append(wire.recv(65536))
                    wire.sendall(reply)
                    if hang:
                        wire.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1], asked
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(30)
        assert not thread.is_alive()


def certificate(tmp_path: Path, what: str = "good") -> ssl.SSLContext:
    issued = {
        "good": lambda: real_authority().issue("mta-sts.trust.example"),
        "expired": lambda: real_authority().issue("mta-sts.trust.example", days=-1),
        "another name": lambda: real_authority().issue("trust.example"),
        "nobody's": lambda: strange_authority().issue("mta-sts.trust.example"),
    }[what]()
    return server_tls(issued, tmp_path, "web")


def fetcher(tmp_path: Path, port: int, *, seconds: float = 60, never: bool = False) -> HttpsPolicyFetcher:
    roots = tmp_path / "roots.pem"
    roots.write_text(real_authority().pem)
    return HttpsPolicyFetcher(
        resolver=FakeResolver(a={"mta-sts.trust.example": ["127.0.0.1"]}),
        tls=ClientTls.make(roots),
        hosts=HostPolicy() if never else HostPolicy(never=()),
        policy=FetchPolicy(seconds=seconds, connect_to=(LOOPBACK, port)),
    )


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x\r\n" % len(TEXT)
    + TEXT
    + b"\r\n0\r\n\r\n"
)


@pytest.mark.parametrize("reply", [answer(), CHUNKED], ids=["length", "chunks"])
async def test_a_policy_is_fetched(tmp_path: Path, reply: bytes) -> None:
    with web_server(reply, certificate(tmp_path)) as (port, asked):
        assert await fetcher(tmp_path, port).fetch(TRUST) == TEXT
    assert asked[0].startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.trust.example\r\n")


@pytest.mark.parametrize(
    "reply",
    [
        answer(status="301 Moved", more="Location: https://elsewhere.example/mta-sts.txt\r\n"),
        answer(status="404 Not Found"),
        answer(status="206 Partial"),
        answer(kind="text/html"),
        answer(b"x" * 70_000),
        answer()[:-5],
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + TEXT,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
        b"220 mx ESMTP\r\n",
        b"",
    ],
    ids=["redirect", "missing", "part", "page", "long", "cut", "no length", "flood", "not HTTP", "nothing"],
)
async def test_any_other_answer_is_no_policy(tmp_path: Path, reply: bytes) -> None:
    with web_server(reply, certificate(tmp_path)) as (port, _), pytest.raises(PolicyNotFetched) as refused:
        await fetcher(tmp_path, port).fetch(TRUST)
    assert refused.value.kind is FailureKind.STS_POLICY_FETCH_ERROR


@pytest.mark.parametrize("what", ["expired", "another name", "nobody's"])
async def test_a_web_server_with_a_wrong_certificate_is_not_believed(tmp_path: Path, what: str) -> None:
    serving = web_server(answer(), certificate(tmp_path, what))
    with serving as (port, asked), pytest.raises(PolicyNotFetched) as refused:
        await fetcher(tmp_path, port).fetch(TRUST)
    assert refused.value.kind is FailureKind.STS_WEBPKI_INVALID
    assert asked == []


async def test_a_web_server_that_hangs_costs_no_more_than_the_deadline(tmp_path: Path) -> None:
    with web_server(answer()[:50], certificate(tmp_path), hang=True) as (port, _), pytest.raises(PolicyNotFetched):
        await fetcher(tmp_path, port, seconds=0.3).fetch(TRUST)  # meant to run out


async def test_no_web_server_of_ours_is_asked_on_a_strangers_word(tmp_path: Path) -> None:
    with web_server(answer(), certificate(tmp_path)) as (port, asked), pytest.raises(PolicyNotFetched):
        await fetcher(tmp_path, port, never=True).fetch(TRUST)
    assert asked == []


async def test_without_tls_nothing_is_asked(tmp_path: Path) -> None:
    with web_server(answer(), None) as (port, asked), pytest.raises(PolicyNotFetched):
        await fetcher(tmp_path, port, seconds=60).fetch(TRUST)
    assert not any(b"GET" in octets for octets in asked)
