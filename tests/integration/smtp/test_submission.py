"""The submission ports: who may hand in mail, what they are told, and how it ends when they may no longer."""

import asyncio
import base64
import smtplib
import ssl
from pathlib import Path

from tests.fakes.smtp_world import Client, SmtpWorld, server_context, world

from carepost.base.errors import Broken, NotPossible, TryLater
from carepost.base.ids import AppPasswordId, PersonId
from carepost.directory.revoking import Revoked

PLAIN = "AUTH PLAIN " + base64.b64encode(b"\0jo@care.example\0correct horse").decode()
WRONG = "AUTH PLAIN " + base64.b64encode(b"\0jo@care.example\0wrong").decode()


async def signed_in(here: SmtpWorld) -> Client:
    client = await here.greeted("EHLO laptop.example")
    assert (await client.say(PLAIN)).startswith("235 ")
    return client


async def hand_in(client: Client, *recipients: str) -> str:
    await client.mail("jo@care.example", *(recipients or ("ann@gmail.example",)))
    assert (await client.say("DATA")).startswith("354 ")
    client.send(b"Subject: x\r\n\r\nwords\r\n")
    return await client.say(".")


async def test_a_message_is_handed_in_with_its_envelope(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path), submission=True, implicit=True) as here:
        client = await signed_in(here)
        assert "is now with us" in await hand_in(client, "ann@gmail.example", "Ann@GMAIL.example", "bob@gmail.example")
        (handed,) = here.door.handed
        assert [str(one.address) for one in handed.recipients] == ["ann@gmail.example", "bob@gmail.example"]
        assert handed.raw == b"Subject: x\r\n\r\nwords\r\n"
        assert str(handed.sender) == "jo@care.example"


async def test_pythons_own_client_signs_in_on_587_after_starttls(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path), submission=True) as here:

        def send() -> dict[str, tuple[int, bytes]]:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with smtplib.SMTP(*here.address, timeout=180) as mta:
                mta.starttls(context=context)
                mta.login("jo@care.example", "correct horse")
                return mta.sendmail("jo@care.example", ["ann@gmail.example"], b"Subject: y\r\n\r\nz\r\n")

        assert await asyncio.to_thread(send) == {}
        assert len(here.door.handed) == 1


async def test_after_three_wrong_secrets_the_conversation_ends(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("carepost.protocols.smtp.submission._WRONG_SECRET_WAIT", 0.01)
    async with world(tmp_path, tls=server_context(tmp_path), submission=True, implicit=True) as here:
        client = await here.greeted("EHLO laptop.example")
        assert [(await client.say(WRONG))[:3] for _ in range(3)] == ["535", "535", "535"]
        assert (await client.reply()).startswith("421 4.7.0")
        assert await client.rest() == ""


async def test_what_came_in_clear_with_starttls_is_nobodys(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path), submission=True) as here:
        client = await here.greeted("EHLO laptop.example")
        client.send(b"STARTTLS\r\n" + PLAIN.encode() + b"\r\n")
        assert (await client.reply()).startswith("501 ")
        assert await client.rest() == ""


async def test_signing_in_again_is_needed_after_starttls_only_once(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path), submission=True) as here:
        client = await here.greeted("EHLO laptop.example")
        assert (await client.say("STARTTLS")).startswith("220 ")
        await client.start_tls()
        assert (await client.say(PLAIN)).startswith("503 "), "a new hello comes first"
        assert (await client.say("EHLO laptop.example")).startswith("250")
        assert (await client.say(PLAIN)).startswith("235 ")
        assert (await client.say("RSET")).startswith("250 ")
        assert "is now with us" in await hand_in(client)


async def test_what_the_walk_refuses_is_told_in_its_own_words_and_a_bug_is_a_451(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path), submission=True, implicit=True) as here:
        client = await signed_in(here)
        here.door.fails = NotPossible("That is more than 500 recipients. Send it to fewer at a time.")
        assert (await hand_in(client)) == "550 5.2.0 That is more than 500 recipients. Send it to fewer at a time."
        for failure in (Broken("a secret detail"), TryLater("the database is away"), ValueError("oh")):
            here.door.fails = failure
            assert (await hand_in(client)).startswith("451 4.3.0 We cannot take this just now")
        here.door.fails = None
        assert "is now with us" in await hand_in(client)


async def test_a_revoked_app_password_ends_its_conversation_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path), submission=True, implicit=True) as here:
        client, other = await signed_in(here), await here.greeted("EHLO laptop.example")
        here.server.revoke(Revoked(app_password=AppPasswordId(3)))
        assert (await client.reply()).startswith("421 ")
        assert await client.rest() == ""
        assert (await other.say("NOOP")).startswith("250 "), "who has not signed in is nobody's"


async def test_a_message_that_is_arriving_when_its_person_is_revoked_is_not_taken(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path), submission=True, implicit=True) as here:
        client = await signed_in(here)
        await client.mail("jo@care.example", "ann@gmail.example")
        assert (await client.say("DATA")).startswith("354 ")
        client.send(b"Subject: x\r\n\r\nhalf")
        await client.writer.drain()
        here.server.revoke(Revoked(person=PersonId(7)))
        assert (await client.say(" of it\r\n.")).startswith("421 4.7.0")
        assert here.door.handed == []


async def test_a_lost_client_leaves_nothing_behind(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path), submission=True, implicit=True) as here:
        client = await signed_in(here)
        await client.mail("jo@care.example", "ann@gmail.example")
        assert (await client.say("DATA")).startswith("354 ")
        client.send(b"Subject: x\r\n\r\nhalf")
        client.writer.transport.abort()
        async with asyncio.timeout(180):
            while here.server.counts.open:
                await asyncio.sleep(0.01)
        assert here.door.handed == []
