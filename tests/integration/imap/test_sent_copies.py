"""A mail program that keeps its own copy in Sent: one of the two stays, and nothing that it says is lost."""

import asyncio
import imaplib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fakes.imap_house import JO, PASSWORD, ImapHouse, imap_house
from tests.fakes.mailboxes import StoreWorld

from carepost.base.ids import new_trace_id
from carepost.infra.db import Database
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.store.model import Flag, SpecialUse
from carepost.store.objects import prepare_object, store_object
from carepost.store.sent import KnownObject, Target, lay_in_own
from carepost.store.sent_copies import SentCopies, says_no_more

HEAD = (
    b"From: Jo <jo@surgery.example>\r\nTo: Sam <sam@surgery.example>,\r\n\tKit <kit@surgery.example>\r\n"
    b"Subject: Rota\r\nDate: Sun, 22 Nov 2026 09:00:00 +0000\r\nMessage-ID: <one@surgery.example>\r\n"
)
SENT = HEAD + b"\r\nWe meet at nine.\r\n"
THUNDERBIRD = b"X-Mozilla-Status: 0001\r\nX-Identity-Key: id1\r\nFCC: imap://jo@surgery.example/Sent\r\n" + SENT


@pytest.mark.parametrize(
    ("copy", "same"),
    [
        (SENT, True),
        (THUNDERBIRD, True),
        (SENT.replace(b"\r\n", b"\n"), True),
        (SENT.rstrip() + b"\r\n\r\n", True),
        (SENT.replace(b",\r\n\tKit", b", Kit"), True),
        (SENT.replace(b"nine", b"ten"), False),
        (SENT.replace(b"We meet", b"We  meet"), False),
        (b"Bcc: lou@surgery.example\r\n" + SENT, False),
        (b"X-Note: call him\r\n" + SENT, False),
        (HEAD.replace(b"sam@", b"other@") + b"\r\nWe meet at nine.\r\n", False),
        (b"Subject: Rota\r\n" + SENT, False),
        (HEAD, False),
    ],
)
def test_a_copy_is_one_only_when_it_says_nothing_more(copy: bytes, same: bool) -> None:
    assert says_no_more(copy, SENT) is same


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[ImapHouse]:
    store = StoreWorld(database)
    async with imap_house(store, tmp_path / "tls") as made:
        mail = replace(made.server.services.mail, sent=SentCopies(messages=store.messages, clock=store.clock))
        object.__setattr__(made.server, "services", replace(made.server.services, mail=mail))
        yield made


async def lay(house: ImapHouse, raw: bytes) -> int:
    """As the walk of mail out does it; the UID."""
    store, mailbox = house.store, house.mailbox
    message = parse(raw)
    prepared = prepare_object(mailbox.organisation, raw, summary=summarise(message), words="")
    known = KnownObject(organisation=mailbox.organisation, id=prepared.id, key=prepared.key, size=prepared.size)
    async with store.db.transaction(mailbox.organisation) as tx:
        keys = await store.keys.mailbox(tx, mailbox)
        await store_object(tx, prepared, at=store.clock.now())
        target = Target(mailbox.id, keys.intake_public)
        laid = await lay_in_own(
            tx, known, target, special_use=SpecialUse.SENT, flags=Flag.SEEN, trace=new_trace_id(), at=store.clock.now()
        )
    return int(laid.uid)


async def append(
    house: ImapHouse, folder: str, *copies: bytes, flags: str = "(\\Seen)"
) -> tuple[list[int], list[bytes]]:
    """The UIDs that imaplib is told, and what lies there afterwards."""

    def session() -> tuple[list[int], list[bytes]]:
        client = imaplib.IMAP4_SSL("localhost", house.tls_port, ssl_context=house.client_tls)
        try:
            client.login(JO, PASSWORD)
            told = []
            for copy in copies:
                status, answer = client.append(folder, flags, None, copy)
                assert status == "OK"
                code = answer[0].decode().partition("[APPENDUID ")[2].partition("]")[0]
                told.append(int(code.split()[1]))
            client.select(folder)
            _, [numbers] = client.search(None, "ALL")
            found = [client.fetch(number.decode(), "(FLAGS BODY.PEEK[])")[1][0] for number in numbers.split()]
            return told, [b"".join(one) for one in found]  # type: ignore[arg-type]
        finally:
            client.logout()

    return await asyncio.to_thread(session)


async def test_what_was_just_sent_stands_in_sent_once_and_the_program_is_told_where(house: ImapHouse) -> None:
    uid = await lay(house, SENT)
    told, there = await append(house, "Sent", THUNDERBIRD, flags="(\\Seen \\Flagged)")
    assert told == [uid]
    assert len(there) == 1
    assert b"\\Flagged" in there[0], "what the program marks is marked"
    other = b"Bcc: lou@surgery.example\r\n" + SENT
    told, there = await append(house, "Sent", SENT.replace(b"nine", b"ten"), other)
    assert len({uid, *told}) == 3
    assert len(there) == 3, "another text, and whom it was hidden from, are not lost"
    _, drafts = await append(house, "Drafts", SENT)
    assert len(drafts) == 1, "in any other folder a copy is a copy"


async def test_after_a_while_a_copy_is_kept_as_it_comes(house: ImapHouse) -> None:
    await lay(house, SENT)
    house.store.clock.advance(timedelta(minutes=16))
    assert len((await append(house, "Sent", SENT))[1]) == 2
