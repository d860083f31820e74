"""Port 25, live on loopback: a message's way in, and what happens when something is wrong."""

import asyncio
import errno
import os
import socket
from pathlib import Path

import pytest
from tests.fakes.smtp_world import Client, changed, server_context, world

from carepost.base.address import EmailAddress
from carepost.base.errors import Broken, Malformed, NotAllowed, NotPossible, TryLater
from carepost.gateway.model import Refused, Via
from carepost.protocols.smtp import spool as spool_module
from carepost.protocols.smtp.limits import SmtpLimits, SpoolLimits

MESSAGE = b"Subject: Clinic\r\n\r\n.Dear Jo\r\n"
STUFFED = b"Subject: Clinic\r\n\r\n..Dear Jo\r\n.\r\n"


async def deliver(client: Client, content: bytes = STUFFED, *, sender: str = "", to: str = "jo@care.example") -> str:
    await client.mail(sender, to)
    assert (await client.say("DATA")).startswith("354 ")
    client.send(content)
    return await client.reply()


# -- a message's way in --


async def test_a_message_is_taken_and_its_trace_is_said(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        replies = await client.mail("ann@out.example", "jo@care.example")
        assert replies == ["250 2.1.0 Sender OK", "250 2.1.5 Recipient OK"]
        assert (await client.say("DATA")).startswith("354 ")
        client.send(STUFFED)
        reply = await client.reply()
        [(connection, envelope, raw)] = here.inbound.received
        assert reply == f"250 2.0.0 {envelope.trace} is now with us"
        assert raw == MESSAGE
        assert (connection.hello, str(connection.client_ip), connection.via) == ("out.example", "127.0.0.1", Via.SMTP)
        assert envelope.reverse_path == EmailAddress.parse("ann@out.example")
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
            async with asyncio.timeout(0.1):  # meant to run out
                await client.reader.readline()
        here.inbound.hold.set()
        assert (await client.reply()).startswith("250 2.0.0 ")


async def test_everything_in_one_segment(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.connect()
        group = b"MAIL FROM:<>\r\nRCPT TO:<jo@care.example>\r\nRCPT TO:<nobody@care.example>\r\nDATA\r\n" + STUFFED
        client.send(b"EHLO out.example\r\n" + group + group + b"QUIT\r\n")
        said = await client.rest()
        codes = [line[:3] for line in said.splitlines() if line[3:4] != "-"]
        assert codes == ["220", "250", *["250", "250", "550", "354", "250"] * 2, "221"]
        assert here.inbound.messages == [MESSAGE] * 2


async def test_the_envelope_keeps_what_dsn_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        await client.say("MAIL FROM:<ann@out.example> RET=HDRS ENVID=QQ314 SMTPUTF8 BODY=8BITMIME SIZE=100")
        await client.say("RCPT TO:<jo@care.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;boss@out.example")
        await client.say("RCPT TO:<ann@care.example> NOTIFY=NEVER")
        await client.say("DATA")
        client.send(STUFFED)
        await client.reply()
        [(_, envelope, _)] = here.inbound.received
        assert (envelope.ret, envelope.envid, envelope.smtputf8) == ("HDRS", "QQ314", True)
        first, second = envelope.recipients
        assert (first.notify, first.original) == ({"FAILURE", "DELAY"}, "rfc822;boss@out.example")
        assert (second.notify, second.original) == ({"NEVER"}, None)


async def test_two_addresses_of_one_mailbox_are_one_copy(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        await client.mail("", "jo@care.example", "info@care.example", "ann@care.example", "JO@care.example")
        await client.say("DATA")
        client.send(STUFFED)
        await client.reply()
        [(_, envelope, _)] = here.inbound.received
        assert [str(one.address) for one in envelope.recipients] == ["jo@care.example", "ann@care.example"]


async def test_a_sender_longer_than_the_rfc_allows_is_received(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        sender = "SRS0=abcd=xy=out.example=" + "b" * 80 + "@forwarder.example"
        assert (await deliver(client, sender=sender)).startswith("250 ")
        assert str(here.inbound.received[0][1].reverse_path) == sender


async def test_mail_for_postmaster_needs_no_domain(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.routes.mailboxes["postmaster@mx.care.example"] = 7
        assert (await deliver(await here.greeted(), to="Postmaster")).startswith("250 ")


async def test_a_large_message_goes_by_way_of_the_disk_and_comes_out_whole(tmp_path: Path) -> None:
    small = SpoolLimits(memory_each=70_000, disk_free_min=0)
    async with world(tmp_path, spool=small) as here:
        client = await here.greeted()
        line = b"0123456789" * 7 + b"\r\n"
        assert (await deliver(client, line * 30_000 + b".\r\n")).startswith("250 ")
        assert here.inbound.messages == [line * 30_000]
        assert here.spools.in_memory == 0
        assert here.spools.examined.free == here.spools.limits.examined_total
        assert list(tmp_path.iterdir()) == []


async def test_the_peer_is_made_to_wait_while_the_gateway_works(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.inbound.hold = asyncio.Event()
        client = await here.greeted()
        await client.mail("", "jo@care.example")
        await client.say("DATA")
        client.send(STUFFED)
        await here.inbound.entered.wait()
        client.send(b"NOOP\r\n" * 300_000)
        await asyncio.sleep(0.2)
        [link] = here.server._conversations
        assert link._inbox_octets <= 64 * 1024 + 256 * 1024
        here.inbound.hold.set()
        assert (await client.reply()).startswith("250 ")


# -- what is refused, and how --


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (Malformed("secret"), "550 5.6.0"),
        (NotAllowed("secret"), "550 5.7.1"),
        (NotPossible("secret"), "550 5.2.0"),
        (TryLater("secret"), "451 4.3.0"),
        (Broken("secret"), "451 4.3.0"),
        (spool_module.NoRoom(), "452 4.3.1"),
        (RuntimeError("secret"), "451 4.3.0"),
        (TimeoutError("secret"), "451 4.3.0"),
        (OSError(errno.EIO, "secret"), "451 4.3.0"),
        (ExceptionGroup("secret", [ValueError("secret")]), "451 4.3.0"),
        (Refused("It was not accepted", enhanced_status="5.7.26"), "550 5.7.26 It was not accepted"),
        (Refused("It was not accepted", enhanced_status="2.0.0"), "550 5.7.1"),
    ],
    ids=repr,
)
async def test_each_family_of_error_has_its_reply(tmp_path: Path, error: Exception, reply: str) -> None:
    async with world(tmp_path) as here:
        here.inbound.fails = error
        client = await here.greeted()
        heard = await deliver(client)
        assert heard.startswith(reply)
        assert "secret" not in heard
        here.inbound.fails = None
        assert (await deliver(client)).startswith("250 ")


@pytest.mark.parametrize("error", [TryLater("x"), Broken("x"), RuntimeError("x"), OSError("x")], ids=repr)
async def test_a_dead_database_at_rcpt_is_a_451(tmp_path: Path, error: Exception) -> None:
    async with world(tmp_path) as here:
        here.routes.fails = error
        client = await here.greeted()
        assert (await client.mail("", "jo@care.example"))[1].startswith("451 4.3.0")


async def test_a_gateway_that_does_not_answer_is_a_451(tmp_path: Path) -> None:
    async with world(tmp_path, limits=SmtpLimits(receive_timeout=0.1)) as here:  # meant to run out
        here.inbound.hold = asyncio.Event()
        assert (await deliver(await here.greeted())).startswith("451 4.3.0")
        assert here.inbound.received == []


async def test_a_full_disk_refuses_the_sender_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, spool=SpoolLimits(disk_free_min=2**62)) as here:
        client = await here.greeted()
        assert (await client.say("MAIL FROM:<>")).startswith("452 4.3.1")


@pytest.mark.parametrize("by_chunks", [False, True])
async def test_a_disk_that_fills_up_meanwhile_is_a_452(
    tmp_path: Path, by_chunks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool_module.os, "write", full)
    async with world(tmp_path, spool=SpoolLimits(memory_each=65_536, disk_free_min=0)) as here:
        client = await here.greeted()
        await client.mail("", "jo@care.example")
        content = b"x\r\n" * 100_000
        if by_chunks:
            client.send(b"BDAT %d\r\n%bBDAT 2 LAST\r\nhi" % (len(content), content))
            assert (await client.reply()).startswith("452 4.3.1")
            assert (await client.reply()).startswith("503 ")
        else:
            await client.say("DATA")
            client.send(content + b".\r\n")
            assert (await client.reply()).startswith("452 4.3.1")
        assert (await client.say("RSET")).startswith("250 ")
        assert here.inbound.received == []
        assert here.spools.in_memory == 0
        assert (await deliver(client)).startswith("250 ")


async def test_too_many_messages_at_once_wait_and_then_come_later(tmp_path: Path) -> None:
    spool = SpoolLimits(examined_total=1000, budget_timeout=0.2, disk_free_min=0)  # meant to run out
    async with world(tmp_path, spool=spool) as here:
        here.inbound.hold = asyncio.Event()
        first, second = await here.greeted(), await here.greeted()
        holding = asyncio.create_task(deliver(first, b"x" * 900 + b"\r\n.\r\n"))
        await here.inbound.entered.wait()
        assert (await deliver(second, b"x" * 900 + b"\r\n.\r\n")).startswith("451 4.3.0")
        changed(spool, budget_timeout=60)
        here.inbound.hold.set()
        assert (await holding).startswith("250 ")
        assert (await deliver(second, b"x" * 900 + b"\r\n.\r\n")).startswith("250 ")


async def test_a_message_over_the_limit_is_refused_before_and_after(tmp_path: Path) -> None:
    async with world(tmp_path, limits=SmtpLimits(message_max_mb=0.01)) as here:
        client = await here.greeted()
        assert (await client.say("MAIL FROM:<> SIZE=20000")).startswith("552 5.3.4")
        assert (await deliver(client, b"x" * 900 + b"\r\n" * 10_000 + b".\r\n")).startswith("552 5.3.4")
        assert (await deliver(client)).startswith("250 ")


async def test_a_client_that_asks_too_fast_is_put_off(tmp_path: Path) -> None:
    async with world(tmp_path, limits=SmtpLimits(recipients_per_minute=3)) as here:
        client = await here.greeted()
        heard = await client.mail("", *["jo@care.example"] * 4)
        assert [reply[:3] for reply in heard] == ["250", "250", "250", "250", "450"]


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        await client.mail("", "jo@care.example")
        await client.say("DATA")
        client.send(b"Subject: half")
        await client.close()
        await until(lambda: here.server.counts.open == 0)
        assert here.inbound.received == []
        assert here.spools.in_memory == 0


async def test_a_client_that_leaves_before_the_answer_has_its_message_taken(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.inbound.hold = asyncio.Event()
        client = await here.greeted()
        await client.mail("", "jo@care.example")
        await client.say("DATA")
        client.send(STUFFED)
        await here.inbound.entered.wait()
        await client.close()
        here.inbound.hold.set()
        await until(lambda: bool(here.inbound.received))


# -- TLS, XCLIENT, LMTP --


async def test_a_message_over_tls(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path)) as here:
        client = await here.greeted()
        assert (await client.say("STARTTLS")).startswith("220 ")
        await client.start_tls()
        await client.say("EHLO out.example")
        content = b"0123456789\r\n" * 50_000
        assert (await deliver(client, content + b".\r\n")).startswith("250 ")
        [(connection, _, raw)] = here.inbound.received
        assert raw == content
        assert connection.tls is not None
        assert connection.tls.cipher.startswith("TLS_")
        assert await client.say("QUIT") == "221 2.0.0 Goodbye"


async def test_a_handshake_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    async with world(
        tmp_path, tls=server_context(tmp_path), limits=SmtpLimits(tls_timeout=0.2)
    ) as here:  # meant to run out
        for octets in (b"", b"\x16\x03\x01rubbish" * 20):
            client = await here.greeted()
            await client.say("STARTTLS")
            client.send(octets)
            assert "250" not in await client.rest()
        await until(lambda: here.server.counts.open == 0)


async def test_a_trusted_peer_speaks_for_another(tmp_path: Path) -> None:
    async with world(tmp_path, trusted=["127.0.0.0/8"]) as here:
        client = await here.greeted()
        said = "XCLIENT ADDR=192.0.2.7 NAME=out.example HELO=claimed.example PROTO=SMTP"
        assert (await client.say(said)).startswith("220 ")
        await client.say("EHLO bench")
        assert (await deliver(client)).startswith("250 ")
        [(connection, envelope, _)] = here.inbound.received
        assert str(connection.client_ip) == "192.0.2.7"
        assert (connection.client_name, connection.hello) == ("out.example", "claimed.example")
        assert envelope.received.split(b"\r\n")[1] == b"Received: from claimed.example (out.example [192.0.2.7])"


async def test_nobody_is_trusted_unless_the_settings_say_so(tmp_path: Path) -> None:
    async with world(tmp_path, trusted=["192.0.2.0/24"]) as here:
        client = await here.connect()
        await client.reply()
        assert "XCLIENT" not in await client.say("EHLO out.example")
        assert (await client.say("XCLIENT ADDR=192.0.2.7")).startswith("550 ")


async def test_lmtp_answers_for_each_recipient(tmp_path: Path) -> None:
    async with world(tmp_path, via=Via.LMTP) as here:
        client = await here.greeted("LHLO mta.example")
        await client.mail("", "jo@care.example", "nobody@care.example", "ann@care.example")
        await client.say("DATA")
        client.send(STUFFED)
        assert [(await client.reply())[:9] for _ in range(2)] == ["250 2.0.0"] * 2
        [(connection, envelope, _)] = here.inbound.received
        assert connection.via is Via.LMTP
        assert b" with LMTP\r\n" in envelope.received
        here.inbound.fails = TryLater("x")
        await client.mail("", "jo@care.example", "ann@care.example")
        await client.say("DATA")
        client.send(STUFFED)
        assert [(await client.reply())[:9] for _ in range(2)] == ["451 4.3.0"] * 2


async def test_lmtp_listens_on_a_socket_file(tmp_path: Path) -> None:
    async with world(tmp_path, via=Via.LMTP) as here:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(os.fspath(tmp_path / "lmtp"))
        listening.listen()
        stop = asyncio.Event()
        serving = asyncio.create_task(here.server.serve([listening], stop))
        client = Client(*await asyncio.open_unix_connection(tmp_path / "lmtp"))
        await client.reply()
        await client.say("LHLO mta.example")
        assert (await deliver(client)).startswith("250 ")
        assert str(here.inbound.received[0][0].client_ip) == "127.0.0.1"
        await client.say("QUIT")
        await client.close()
        stop.set()
        async with asyncio.timeout(180):
            await serving


# -- the end --


async def test_on_shutdown_the_idle_hear_421_and_nobody_new_is_let_in(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        idle, addressing = await here.greeted(), await here.greeted()
        await addressing.mail("", "jo@care.example")
        here.stop.set()
        assert (await idle.reply()).startswith("421 4.3.2")
        assert (await addressing.reply()).startswith("421 4.3.2")
        async with asyncio.timeout(180):
            await asyncio.wait([here.serving])
        with pytest.raises(OSError):
            await here.connect()


async def test_on_shutdown_a_message_on_its_way_may_finish(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.inbound.hold = asyncio.Event()
        arriving, examined = await here.greeted(), await here.greeted()
        for client in (arriving, examined):
            await client.mail("", "jo@care.example")
            await client.say("DATA")
        examined.send(STUFFED)
        arriving.send(STUFFED[:20])
        await here.inbound.entered.wait()
        here.stop.set()
        await asyncio.sleep(0.05)
        arriving.send(STUFFED[20:])
        here.inbound.hold.set()
        for client in (arriving, examined):
            assert (await client.reply()).startswith("250 ")
            assert (await client.reply()).startswith("421 ")
        assert here.inbound.messages == [MESSAGE] * 2


async def test_on_shutdown_nobody_is_waited_for_for_ever(tmp_path: Path) -> None:
    async with world(tmp_path, limits=SmtpLimits(shutdown_grace=0.2)) as here:  # meant to run out
        client = await here.greeted()
        await client.mail("", "jo@care.example")
        await client.say("DATA")
        here.stop.set()
        async with asyncio.timeout(180):
            await asyncio.wait([here.serving])
        assert here.inbound.received == []
        assert here.spools.in_memory == 0


async def test_a_server_that_is_cancelled_leaves_no_task(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.greeted()
        here.serving.cancel()
        async with asyncio.timeout(180):
            await asyncio.wait([here.serving])
        assert here.serving.cancelled()
        await until(lambda: not [task for task in asyncio.all_tasks() if "Conversation.run" in repr(task)])


async def until(condition: object) -> None:
    async with asyncio.timeout(180):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)
