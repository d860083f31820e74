"""What strangers try on port 25: the P rows of the security paper, against the live server."""

import asyncio
from pathlib import Path

import pytest
from tests.fakes.smtp_world import Client, SmtpWorld, changed, server_context, world

from carepost.protocols.smtp.limits import SmtpLimits

ENDINGS = [
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n\x00.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
]
SMUGGLED = (
    b"MAIL FROM:<evil@out.example>\r\nRCPT TO:<ann@care.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n"
)


async def _ready_for_content(here: SmtpWorld) -> Client:
    client = await here.greeted()
    await client.mail("x@out.example", "jo@care.example")
    assert (await client.say("DATA")).startswith("354")
    return client


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
@pytest.mark.parametrize("apart", [False, True], ids=["one segment", "octet by octet"])
async def test_p1_no_false_ending_makes_two_messages(tmp_path: Path, ending: bytes, apart: bool) -> None:
    async with world(tmp_path) as here:
        client = await _ready_for_content(here)
        attack = b"Subject: one\r\n\r\nbody" + ending + SMUGGLED
        if apart:
            for at in range(len(attack)):
                client.send(attack[at : at + 1])
                await asyncio.sleep(0)
        else:
            client.send(attack)
        reply = await client.reply()
        if b"\x00" in ending:
            assert reply.startswith("250 ")
            assert len(here.inbound.received) == 1
            assert b"MAIL FROM:<evil" in here.inbound.messages[0]
        else:
            assert reply.startswith("550 5.6.11 ")
            assert await client.rest() == ""
            assert here.inbound.received == []
        assert "ann@care.example" not in here.routes.asked


async def test_p1_who_waits_after_a_false_ending_is_told_why(tmp_path: Path) -> None:
    async with world(tmp_path, limits=SmtpLimits(flawed_timeout=0.2)) as here:  # meant to run out
        client = await _ready_for_content(here)
        client.send(b"Subject: one\n\nbody\n.\n")
        assert (await client.reply()).startswith("550 5.6.11 ")
        assert await client.rest() == ""


async def test_p3_a_chunk_is_consumed_to_the_octet(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        await client.mail("", "jo@care.example")
        client.send(b"BDAT 20\r\nSubject: x\r\n\r\n.\r\nBNOOP\r\nBDAT 5 LAST\r\nody\r\nQUIT\r\n")
        # 20 octets end with "BNOO"; what is left of the line is no command.
        assert (await client.reply()).startswith("250 2.0.0 20 octets")
        assert (await client.reply()).startswith("500 ")
        assert (await client.reply()).startswith("250 2.0.0 ")
        assert (await client.reply()).startswith("221 ")
        assert here.inbound.messages == [b"Subject: x\r\n\r\n.\r\nBNO" + b"ody\r\n"]


@pytest.mark.parametrize("size", ["-1", "9223372036854775808", "x"])
async def test_p3_absurd_chunks_end_the_conversation(tmp_path: Path, size: str) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        await client.mail("", "jo@care.example")
        assert (await client.say(f"BDAT {size} LAST"))[:3] in {"501", "552"}
        assert await client.rest() == ""


async def test_p4_commands_injected_after_starttls_are_not_answered(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path)) as here:
        client = await here.greeted()
        client.send(b"STARTTLS\r\nNOOP x\r\nMAIL FROM:<evil@out.example>\r\n")
        assert (await client.rest()).startswith("501 ")
        await _until_closed(here)
        assert here.inbound.received == []


async def test_p4_commands_injected_before_the_handshake_end_it(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path)) as here:
        client = await here.greeted()
        assert (await client.say("STARTTLS")).startswith("220 ")
        client.send(b"NOOP x\r\n")
        assert "250" not in await client.rest()
        await _until_closed(here)


async def test_p4_what_was_said_in_clear_is_forgotten(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path)) as here:
        client = await here.greeted("EHLO liar.example")
        assert (await client.say("STARTTLS")).startswith("220 ")
        await client.start_tls()
        assert (await client.say("MAIL FROM:<x@out.example>")).startswith("503 ")
        again = await client.say("EHLO out.example")
        assert "STARTTLS" not in again
        await client.mail("", "jo@care.example")
        await client.say("DATA")
        assert (await client.say(b"Subject: x\r\n\r\n.")).startswith("250 ")
        [(connection, envelope, _)] = here.inbound.received
        assert connection.hello == "out.example"
        assert connection.tls is not None
        assert connection.tls.version == "TLSv1.3"
        assert b"with ESMTPS" in envelope.received


@pytest.mark.parametrize("tls", [False, True])
async def test_p6_there_is_no_signing_in_on_this_port(tmp_path: Path, tls: bool) -> None:
    async with world(tmp_path, tls=server_context(tmp_path)) as here:
        client = await here.greeted()
        if tls:
            await client.say("STARTTLS")
            await client.start_tls()
        assert "AUTH" not in await client.say("EHLO out.example")
        assert (await client.say("AUTH PLAIN AGpvAHNlY3JldA==")).startswith("502 ")


@pytest.mark.parametrize(
    "request_line", [b"GET / HTTP/1.1", b"POST / HTTP/1.1", b"Host: mx.care.example", b"\x16\x03\x01\x00\xa5\x01"]
)
async def test_p7_a_browser_is_shown_the_door(tmp_path: Path, request_line: bytes) -> None:
    async with world(tmp_path) as here:
        client = await here.connect()
        await client.reply()
        client.send(
            request_line + b"\r\nHost: mx\r\n\r\nEHLO out.example\r\nMAIL FROM:<>\r\nRCPT TO:<jo@care.example>\r\n"
        )
        assert "250" not in await client.rest()
        assert here.routes.asked == []


@pytest.mark.parametrize(
    "octet", [b"\x00", b"\x01", b"\x1b", b"\x7f", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x80\xa8"], ids=repr
)
@pytest.mark.parametrize(
    "line",
    [b"EHLO a%bb.example", b"MAIL FROM:<a%bb@out.example>", b"RCPT TO:<jo%b@care.example>", b"VRFY jo%b", b"BDAT 1%b"],
)
async def test_p8_strange_octets_are_refused_and_nothing_is_cut_off(tmp_path: Path, line: bytes, octet: bytes) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        await client.say("MAIL FROM:<>")
        assert (await client.say(line % octet))[:3] in {"500", "501"}
        assert here.routes.asked == []


async def test_p9_long_lines_do_not_fill_memory(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        assert (await client.say("NOOP " + "x" * 600)).startswith("500 5.5.2 ")
        assert (await client.say("MAIL FROM:<x@out.example> ENVID=" + "x" * 1000)).startswith("500 5.5.2 ")
        await client.mail("", "jo@care.example")
        await client.say("DATA")
        client.send(b"Subject: long\r\n\r\n")
        for _ in range(100):
            client.send(b"x" * 100_000)
            await client.writer.drain()
            [conversation] = here.server._conversations.values()
            assert len(conversation._engine._buffer) <= 64 * 1024
            assert here.spools.in_memory <= here.spools.limits.memory_each + 200_000
        assert (await client.say(b"\r\n.")).startswith("250 ")
        assert len(here.inbound.messages[0]) == 17 + 10_000_000 + 2
        here.inbound.received.clear()
        client.send(b"x" * 200_000)
        assert "500 5.5.2" in await client.rest()


RELAY_FORMS = [
    "<victim@other.example>",
    "<victim%other.example@care.example>",
    "<victim%other.example@[127.0.0.1]>",
    "<victim%other.example>",
    "<victim@other.example@care.example>",
    "<victim@[192.0.2.1]>",
    "<victim@[127.0.0.1]>",
    "<victim@127.0.0.1>",
    "<@care.example:victim@other.example>",
    "<@mx.care.example,@care.example:victim@other.example>",
    "<@[127.0.0.1]:victim@other.example>",
    '<"victim@other.example">',
    '<"victim%other.example">',
    '<"victim@other.example"@care.example>',
    '<"victim%other.example"@care.example>',
    "<other.example!victim>",
    "<other.example!victim@care.example>",
    "<other.example!victim@[127.0.0.1]>",
    "<care.example!other.example!victim>",
    "<victim@other.example.>",
    "<victim@other.example@>",
    "<victim@>",
    "<victim>",
    "<>",
    "<jo@care.example.other.example>",
    "<jo@xcare.example>",
    "<jo@example>",
    "<jo@localhost>",
    "<jo@care.example,victim@other.example>",
    "<jo@care.example> <victim@other.example>",
    "<victim@other.example> ORCPT=rfc822;jo@care.example",
    "<SMTP:victim@other.example>",
    "<victim@other.example(@care.example)>",
    "<victim\\@other.example@care.example>",
    "victim@other.example",
]


@pytest.mark.parametrize("form", RELAY_FORMS)
async def test_p17_mail_for_others_is_refused_in_every_form(tmp_path: Path, form: str) -> None:
    async with world(tmp_path) as here:
        for sender in ("", "jo@care.example", "x@out.example"):
            client = await here.greeted()
            await client.mail(sender)
            assert (await client.say(f"RCPT TO:{form}")).startswith("5")
            assert (await client.say("DATA")).startswith("554 ")


async def test_p18_everything_is_refused_in_the_session(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        replies = await client.mail(
            "forged@victim.example", "nobody@care.example", "full@care.example", "new@care.example"
        )
        assert [reply[:9] for reply in replies[1:]] == ["550 5.1.1", "452 4.2.2", "550 5.1.1"]
        assert here.inbound.received == []


async def test_p19_every_refused_recipient_hears_the_same(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        client = await here.greeted()
        _, *heard = await client.mail(
            "", "nobody@care.example", "new@care.example", "x@other.example", "jo@[127.0.0.1]"
        )
        assert len(set(heard)) == 1
        assert (await client.say("VRFY jo")).startswith("252 ")
        assert (await client.say("VRFY nobody")).startswith("252 ")
        assert (await client.say("EXPN staff")).startswith("502 ")


async def test_p19_a_harvest_is_slowed_and_then_ended(tmp_path: Path) -> None:
    limits = SmtpLimits(unknown_before_tarpit=5, tarpit_step=0.02, unknown_per_hour=12, errors_max=100)
    async with world(tmp_path, limits=limits) as here:
        client = await here.greeted()
        await client.mail("")
        loop, times = asyncio.get_running_loop(), []
        for number in range(12):
            before = loop.time()
            assert (await client.say(f"RCPT TO:<guess{number}@care.example>")).startswith("550 5.1.1")
            times.append(loop.time() - before)
        # The delay is ours: it can be longer on a busy machine, never shorter.
        assert all(took >= 0.02 * (number - 4) - 0.005 for number, took in enumerate(times) if number > 4)
        assert (await client.say("RCPT TO:<guess13@care.example>")).startswith("421 4.7.1")
        assert await client.rest() == ""
        # Coming again does not help.
        again = await here.greeted()
        await again.mail("")
        assert (await again.say("RCPT TO:<guess14@care.example>")).startswith("421 4.7.1")


async def test_p25_a_command_that_drips_is_not_waited_for(tmp_path: Path) -> None:
    limits = SmtpLimits()
    async with world(tmp_path, limits=limits) as here:
        client = await here.greeted()
        changed(limits, command_timeout=1)  # meant to run out
        await client.say("NOOP")
        dripping = asyncio.create_task(_drip(client, b"NOOP " + b"x" * 400))
        assert (await client.reply()).startswith("421 4.4.2")
        dripping.cancel()


async def test_p25_content_that_drips_is_not_waited_for(tmp_path: Path) -> None:
    limits = SmtpLimits()
    async with world(tmp_path, limits=limits) as here:
        client = await _ready_for_content(here)
        changed(limits, command_timeout=1)  # meant to run out
        dripping = asyncio.create_task(_drip(client, b"x" * 400))
        assert (await client.reply()).startswith("421 4.4.2")
        dripping.cancel()
        assert here.inbound.received == []
        await _until_closed(here)
        assert here.spools.in_memory == 0


async def test_p25_when_connections_run_short_idlers_go_first(tmp_path: Path) -> None:
    limits = SmtpLimits(connections_total=4, stress_share=0.75, command_timeout_stressed=1)
    async with world(tmp_path, limits=limits) as here:
        idlers = [await here.greeted() for _ in range(2)]
        third = await here.connect()
        assert (await third.reply()).startswith("220 ")
        for idler in idlers:
            assert (await idler.reply()).startswith("421 4.4.2")
        assert (await third.reply()).startswith("421 4.4.2")


async def test_p25_one_client_may_not_have_every_connection(tmp_path: Path) -> None:
    async with world(tmp_path, limits=SmtpLimits(connections_per_client=2)) as here:
        first, second = await here.greeted(), await here.greeted()
        third = await here.connect()
        assert (await third.rest()).startswith("421 4.7.0")
        assert await first.say("QUIT") == "221 2.0.0 Goodbye"
        await first.close()
        await second.say("NOOP")
        await _until(lambda: here.server.counts.open == 1)
        assert (await here.greeted()) is not None
        assert here.server.counts.refused_per_client == 1


async def test_p25_beyond_the_total_everybody_hears_421(tmp_path: Path) -> None:
    async with world(tmp_path, limits=SmtpLimits(connections_total=1, stress_share=2)) as here:
        await here.greeted()
        assert (await (await here.connect()).rest()).startswith("421 4.3.2")


async def _drip(client: Client, octets: bytes) -> None:
    for at in range(len(octets)):
        client.send(octets[at : at + 1])
        await asyncio.sleep(0.03)


async def _until(condition: object) -> None:
    async with asyncio.timeout(180):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def _until_closed(here: SmtpWorld) -> None:
    await _until(lambda: here.server.counts.open == 0)
