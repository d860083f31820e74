"""P7, P22, P23, P24 on real sockets: what strangers and hostile clients send, and what it costs us."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest
from tests.fakes.imap_house import JO, PASSWORD, ImapHouse, imap_house
from tests.fakes.mailboxes import StoreWorld

from carepost.infra.db import Database
from carepost.wire.imap_limits import ImapLimits


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[ImapHouse]:
    async with imap_house(StoreWorld(database), tmp_path / "tls", ImapLimits(wrong_password_wait_s=0.0)) as made:
        yield made
        for writer in Raw.writers:
            writer.transport.abort()
        Raw.writers.clear()
        await asyncio.sleep(0.05)


class Raw:
    """A client that writes what it likes."""

    writers: ClassVar[list[asyncio.StreamWriter]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.writers.append(writer)

    @classmethod
    async def to(cls, house: ImapHouse, *, signed_in: bool = True, tls: bool = True) -> "Raw":
        context: ssl.SSLContext | None = house.client_tls if tls else None
        port = house.tls_port if tls else house.plain_port
        client = cls(*await asyncio.open_connection("localhost", port, ssl=context, limit=1 << 20))
        await client.line()
        if signed_in:
            assert (await client.ask(f"in LOGIN {JO} {PASSWORD}".encode()))[-1].startswith(b"in OK")
        return client

    async def line(self) -> bytes:
        async with asyncio.timeout(180):
            return await self.reader.readline()

    async def ask(self, text: bytes, tag: bytes = b"") -> list[bytes]:
        self.writer.write(text + b"\r\n")
        tag = tag or text.split(b" ", 1)[0]
        lines = [await self.line()]
        while lines[-1] and not lines[-1].startswith((tag + b" ", b"+ ", b"* BYE")):
            lines.append(await self.line())
        return lines


def resident() -> int:
    with Path("/proc/self/statm").open() as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    "literal", [b"{4294967295}", b"{9223372036854775808}", b"{99999999999999999999}", b"{52428801}"]
)
async def test_a_size_beyond_the_limit_is_refused_before_it_is_invited(house: ImapHouse, literal: bytes) -> None:
    client = await Raw.to(house)
    assert (await client.ask(b"a1 APPEND INBOX " + literal))[-1].startswith(b"a1 NO [TOOBIG]")
    assert (await client.ask(b"a2 NOOP"))[-1].startswith(b"a2 OK")


async def test_uninvited_literals_end_the_conversation(house: ImapHouse) -> None:
    for signed_in in (False, True):
        client = await Raw.to(house, signed_in=signed_in)
        client.writer.write(b"a1 LOGIN {5000+}\r\n")
        rest = await asyncio.wait_for(client.reader.read(), 180)
        assert b"* BYE [TOOBIG]" in rest


async def test_many_literals_and_unfinished_ones_do_not_cost_memory(house: ImapHouse) -> None:
    clients = [await Raw.to(house, signed_in=False) for _ in range(10)]
    before = resident()
    for client in clients:
        client.writer.write(b"a1 LOGIN {4096}\r\n" + b"x" * 4000)
    signed_in = await Raw.to(house)
    for number in range(300):
        await signed_in.ask(b"a%d SEARCH SUBJECT {65536}" % number)
        answer = await signed_in.ask(b"x" * 65536, b"a%d" % number)
        assert answer[-1].startswith(b"a%d BAD Select a folder first" % number)
        if number == 40:
            break
    signed_in.writer.write(b"b1 APPEND INBOX {52428800}\r\n")
    assert (await signed_in.line()).startswith(b"+ ")
    for _ in range(32):
        signed_in.writer.write(b"x" * (1 << 20))
        await signed_in.writer.drain()
    await asyncio.sleep(0.2)
    assert resident() - before < 160 * 1024 * 1024  # one connection holds what it sent, and no copy of it


async def test_search_bombs_are_refused_or_answered_in_time(house: ImapHouse) -> None:
    client = await Raw.to(house)
    await client.ask(b"a0 SELECT INBOX")
    ranges = b",".join(b"%d" % number for number in range(1, 12_000))
    for bomb in (
        b"SEARCH " + b"(" * 4000,
        b"SEARCH " + b"OR " * 4000 + b"ALL",
        b"SEARCH " + b"NOT " * 4000 + b"ALL",
        b"FETCH " + ranges + b" FLAGS",
        b"SEARCH " + b"ALL " * 12_000,
    ):
        async with asyncio.timeout(180):
            answer = await client.ask(b"a1 " + bomb)
        assert answer[-1].startswith((b"a1 BAD", b"* BYE")), bomb[:20]
    assert (await client.ask(b'a2 LIST "" ' + b"*%" * 5_000 + b"x"))[-1].startswith(b"a2 OK")
    assert (await client.ask(b"a3 SEARCH 1:4294967295,*:1 UID *:*"))[-1].startswith(b"a3 OK")


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /x HTTP/1.1\r\n", b"EHLO x\r\n"])
async def test_other_protocols_are_shut_out(house: ImapHouse, words: bytes) -> None:
    for tls in (False, True):
        client = await Raw.to(house, signed_in=False, tls=tls)
        client.writer.write(words)
        assert await asyncio.wait_for(client.reader.read(), 180) == b""


async def test_a_client_that_never_reads_does_not_fill_our_memory(house: ImapHouse) -> None:
    client = await Raw.to(house)
    await client.ask(b"a0 SELECT INBOX")
    answer = await client.ask(b"a1 APPEND INBOX {8000000}")
    client.writer.write(b"Subject: x\r\n\r\n" + b"y" * 7_999_986 + b"\r\n")
    while not answer[-1].startswith(b"a1 "):
        answer.append(await client.line())
    before = resident()
    client.writer.write(b"".join(b"b%d FETCH 1 BODY.PEEK[]\r\n" % number for number in range(200)))
    await asyncio.sleep(1.0)
    assert resident() - before < 96 * 1024 * 1024
