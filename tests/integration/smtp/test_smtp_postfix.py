"""A whole Postfix, with its queue, delivers to us over TLS: what most of the world's mail systems will do."""

from asyncio import to_thread
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.fakes.postfix import Postfix, running_postfix
from tests.fakes.smtp_world import SmtpWorld, server_context, world

pytestmark = pytest.mark.peer

ANN = "ann@out.example"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[SmtpWorld]:
    async with world(tmp_path, tls=server_context(tmp_path), exempt=["127.0.0.0/8"]) as made:
        yield made


@pytest.fixture
def postfix(here: SmtpWorld) -> Iterator[Postfix]:
    settings = {"relayhost": f"[127.0.0.1]:{here.address[1]}", "smtp_tls_security_level": "may"}
    with running_postfix("out.example", settings) as running:
        yield running


async def test_postfix_delivers_over_tls_and_hears_our_trace(here: SmtpWorld, postfix: Postfix) -> None:
    text = b"Subject: Clinic\n\n.dot\n..two\n"
    asked = ("-N", "failure,success", "-V", "ENV1")
    await to_thread(postfix.send, text, "jo@care.example", "ann@care.example", sender=ANN, options=asked)
    await to_thread(postfix.says, "is now with us", times=2)
    [(connection, envelope, raw)] = here.inbound.received
    assert connection.tls is not None
    assert (connection.hello, envelope.envid, len(envelope.recipients)) == ("out.example", "ENV1", 2)
    assert {one.original for one in envelope.recipients} == {"rfc822;jo@care.example", "rfc822;ann@care.example"}
    assert all(one.notify == {"FAILURE", "SUCCESS"} for one in envelope.recipients)
    assert raw.endswith(b"\r\n\r\n.dot\r\n..two\r\n")
    await to_thread(postfix.says, f"250 2.0.0 {envelope.trace} is now with us")


async def test_postfix_tells_its_own_sender_of_an_unknown_recipient(here: SmtpWorld, postfix: Postfix) -> None:
    await to_thread(postfix.send, b"Subject: x\n\nx\n", "nobody@care.example", sender=ANN)
    await to_thread(postfix.says, "status=bounced (host 127.0.0.1[127.0.0.1] said: 550 5.1.1")
    assert here.inbound.received == []


async def test_postfix_keeps_a_message_while_our_database_is_dead(here: SmtpWorld, postfix: Postfix) -> None:
    here.inbound.fails = RuntimeError("no database")
    await to_thread(postfix.send, b"Subject: later\n\nx\n", "jo@care.example", sender=ANN)
    await to_thread(postfix.says, "status=deferred (host 127.0.0.1[127.0.0.1] said: 451 4.3.0")
    here.inbound.fails = None
    await to_thread(postfix.flush)
    await to_thread(postfix.says, "is now with us")
    assert b"Subject: later" in here.inbound.messages[0]
