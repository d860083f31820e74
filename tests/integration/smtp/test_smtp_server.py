"""Port 25, live on loopback."""

import asyncio
from pathlib import Path

import pytest
from tests.fakes.smtp_world import world

from carepost.gateway.model import Via

MESSAGE = b"Subject: Clinic\r\n\r\n.Dear Jo\r\n"
STUFFED = b"Subject: Clinic\r\n\r\n..Dear Jo\r\n.\r\n"


async def test_a_message_is_taken_and_its_trace_is_said(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        assert await client.mail("ann@out.example", "jo@care.example") == [
            "250 2.1.0 Sender OK",
            "250 2.1.5 Recipient OK",
        ]
        assert (await client.say("DATA")).startswith("354 ")
        client.send(STUFFED)
        reply = await client.reply()
        [(connection, envelope, raw)] = here.inbound.received
        assert reply == f"250 2.0.0 {envelope.trace} is now with us"
        assert raw == MESSAGE
        assert (connection.hello, str(connection.client_ip), connection.via) == ("out.example", "127.0.0.1", Via.SMTP)
        assert await client.say("QUIT") == "221 2.0.0 Goodbye"
        assert await client.rest() == ""


async def test_250_is_said_only_after_the_gateway_has_returned(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.inbound.hold = asyncio.Event()
        client = await here.greeted()
        await client.mail("", "jo@care.example")
        await client.say("DATA")
        client.send(STUFFED)
        await here.inbound.entered.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.reader.readline()
        here.inbound.hold.set()
        assert (await client.reply()).startswith("250 2.0.0 ")
