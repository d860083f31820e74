"""The whole walk on PostgreSQL, in the role that faces strangers: what it leaves behind, and what it never does."""

from datetime import timedelta

import psycopg
import pytest
from tests.fakes.gateway import FakeScanner, checks, connection, letter, with_files
from tests.fakes.gateway_world import OPERATOR, GatewayWorld

from carepost.base.errors import TryLater
from carepost.gateway.checks.malware import EICAR
from carepost.gateway.explain import explain
from carepost.gateway.model import Refused
from carepost.gateway.verdict import SearchBy
from carepost.infra.clamd import ScannerUnavailable
from carepost.store.model import SpecialUse

TABLES = ("object", "message", "held_message", "verdict", "verdict_recipient", "verdict_token")


def counted(dsn: str) -> dict[str, int]:
    with psycopg.connect(dsn) as rows:
        return {table: rows.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}  # type: ignore[index]


def events(dsn: str) -> list[tuple[int, str]]:
    with psycopg.connect(dsn) as rows:
        found = rows.execute(
            "SELECT organisation_id, event FROM audit_event WHERE event LIKE 'mail.%' ORDER BY organisation_id, seq"
        )
        return [(organisation, event) for organisation, event in found]


async def test_a_delivered_letter_can_be_read_and_its_verdict_told(world: GatewayWorld, superuser_dsn: str) -> None:
    practice = await world.organisation("A81001")
    _, jo = await world.person(practice, "Jo Bloggs")
    raw = letter()
    trace = await world.receive(raw, jo)
    (body,) = await world.bodies(jo)
    assert body.endswith(raw)
    head = body[: -len(raw)]
    assert head.startswith(b"Return-Path: <x@y.example>\r\nReceived: ")
    assert b"Authentication-Results: mx.riverside.example;\r\n\tspf=pass" in head
    assert b"X-Carepost-Notice: from-outside\r\n" in head
    record = await world.trace.why(OPERATOR, practice, trace)
    assert record is not None
    told = "\n".join(explain(record, world.inbound.deck).lines())
    assert "was delivered with a warning" in told
    assert "Senders from outside the register" in told
    assert "pat@webmail.example" in told
    assert events(superuser_dsn) == [(practice, "mail.message.delivered"), (practice, "mail.why.read")]


async def test_one_message_to_two_organisations_is_one_commit_and_two_records(
    world: GatewayWorld, superuser_dsn: str
) -> None:
    one, two = await world.organisation("A81001"), await world.organisation("B82002")
    _, jo = await world.person(one, "Jo Bloggs")
    _, ann = await world.person(one, "Ann Other")
    _, sam = await world.person(two, "Sam Third")
    trace = await world.receive(letter(), sam, jo, ann)
    for mailbox in (jo, ann, sam):
        assert len(await world.bodies(mailbox)) == 1
    assert counted(superuser_dsn)["object"] == 2
    for organisation, names in ((one, {str(jo.address), str(ann.address)}), (two, {str(sam.address)})):
        record = await world.trace.why(OPERATOR, organisation, trace)
        assert record is not None
        assert {recipient.address for recipient in record.details.recipients} == names
    delivered = [event for event in events(superuser_dsn) if event[1] == "mail.message.delivered"]
    assert delivered == [(one, "mail.message.delivered"), (two, "mail.message.delivered")]


async def test_a_mailbox_named_twice_gets_one_copy(world: GatewayWorld) -> None:
    _, jo = await world.person(await world.organisation("A81001"), "Jo Bloggs")
    await world.receive(letter(), jo, jo)
    assert len(await world.bodies(jo)) == 1


async def test_eicar_is_in_no_mailbox_and_its_sender_is_told_yes(world: GatewayWorld, superuser_dsn: str) -> None:
    _, jo = await world.person(await world.organisation("A81001"), "Jo Bloggs")
    await world.receive(with_files(("letter.txt", EICAR)), jo)
    assert await world.bodies(jo) == []
    assert counted(superuser_dsn) | {"verdict_token": 0} == {
        "object": 1, "message": 0, "held_message": 1, "verdict": 1, "verdict_recipient": 1, "verdict_token": 0,
    }  # fmt: skip


async def test_a_spoof_is_refused_in_plain_words_and_only_its_verdict_is_kept(
    world: GatewayWorld, superuser_dsn: str
) -> None:
    practice = await world.organisation("A81001")
    _, jo = await world.person(practice, "Jo Bloggs")
    with pytest.raises(Refused) as refused:
        await world.receive(letter(author="boss@riverside.example"), jo, from_=connection(client="192.0.2.99"))
    assert refused.value.enhanced_status == "5.7.1"
    for mechanism in ("SPF", "DMARC", "spoof", "card"):
        assert mechanism.lower() not in refused.value.public.lower()
    trace = refused.value.private["trace"]
    assert str(trace) in refused.value.public
    kept = counted(superuser_dsn)
    assert (kept["object"], kept["message"], kept["held_message"], kept["verdict"]) == (0, 0, 0, 1)
    record = await world.trace.why(OPERATOR, practice, trace)  # type: ignore[arg-type]
    assert record is not None
    assert "was refused" in explain(record, world.inbound.deck).headline
    assert (practice, "mail.message.refused") in events(superuser_dsn)


async def test_a_loop_is_refused_with_its_own_code(world: GatewayWorld) -> None:
    """C9."""
    _, jo = await world.person(await world.organisation("A81001"), "Jo Bloggs")
    hops = "".join(f"Received: from a by b{n}; Sun, 22 Nov 2026 09:00:00 +0000\r\n" for n in range(51))
    with pytest.raises(Refused) as refused:
        await world.receive(letter(extra=hops), jo)
    assert refused.value.enhanced_status == "5.4.6"


async def test_spam_folder_gets_what_a_domain_distrusts(world: GatewayWorld) -> None:
    _, jo = await world.person(await world.organisation("A81001"), "Jo Bloggs")
    await world.receive(letter(author="a@shop.example"), jo, from_=connection(client="192.0.2.99"))
    assert await world.bodies(jo) == []
    assert len(await world.bodies(jo, SpecialUse.JUNK)) == 1


async def test_nothing_is_kept_when_the_scanner_is_silent(world: GatewayWorld, superuser_dsn: str) -> None:
    _, jo = await world.person(await world.organisation("A81001"), "Jo Bloggs")
    inbound = world.gateway(checks(scanner=FakeScanner(fails=ScannerUnavailable("no"))))
    with pytest.raises(TryLater):
        await world.receive(letter(), jo, inbound=inbound)
    assert set(counted(superuser_dsn).values()) == {0}


async def test_nothing_is_kept_when_a_mailbox_cannot_be_laid_into(world: GatewayWorld, superuser_dsn: str) -> None:
    """The second organisation fails: the first one's copy goes with it, and the sender still has the message."""
    one, two = await world.organisation("A81001"), await world.organisation("B82002")
    _, jo = await world.person(one, "Jo Bloggs")
    _, sam = await world.person(two, "Sam Third")
    with psycopg.connect(superuser_dsn) as rows:
        rows.execute("DELETE FROM folder WHERE mailbox_id = %s", [sam.id])
    with pytest.raises(Exception, match="folder"):
        await world.receive(letter(), jo, sam)
    assert set(counted(superuser_dsn).values()) == {0}


async def test_fields_that_pretend_to_be_ours_are_not_kept(world: GatewayWorld) -> None:
    _, jo = await world.person(await world.organisation("A81001"), "Jo Bloggs")
    forged = (
        "Authentication-Results: mx.riverside.example; dmarc=pass header.from=bank.example\r\n"
        "Authentication-Results: other.example; dkim=pass\r\n"
        "X-Carepost-Notice: safe\r\n"
    )
    await world.receive(letter(extra=forged), jo)
    (body,) = await world.bodies(jo)
    assert b"bank.example" not in body
    assert b"Notice: safe" not in body
    assert b"Authentication-Results: other.example; dkim=pass" in body


async def test_a_message_is_found_by_sender_recipient_and_message_id_and_by_nobody_else(world: GatewayWorld) -> None:
    practice, other = await world.organisation("A81001"), await world.organisation("B82002")
    _, jo = await world.person(practice, "Jo Bloggs")
    traces = [await world.receive(letter(), jo) for _ in range(3)]
    for by, value in [
        (SearchBy.SENDER, "PAT@webmail.example"),
        (SearchBy.RECIPIENT, str(jo.address)),
        (SearchBy.MESSAGE_ID, "<1@webmail.example>"),
        (None, ""),
    ]:
        page = await world.trace.search(OPERATOR, practice, by, value, limit=2)
        assert len(page.records) == 2
        rest = await world.trace.search(OPERATOR, practice, by, value, before=page.next_key)
        assert {record.trace for record in (*page.records, *rest.records)} == set(traces)
        assert (await world.trace.search(OPERATOR, other, by, value)).records == []
    assert (await world.trace.search(OPERATOR, practice, SearchBy.SENDER, "nobody@x.example")).records == []
    assert len(await world.trace.find(OPERATOR, practice, "1@webmail.example")) == 3
    assert [record.trace for record in await world.trace.find(OPERATOR, practice, traces[0].lower())] == [traces[0]]


async def test_verdicts_are_forgotten_when_their_time_is_over(world: GatewayWorld, superuser_dsn: str) -> None:
    practice = await world.organisation("A81001")
    _, jo = await world.person(practice, "Jo Bloggs")
    await world.receive(letter(), jo)
    await world.receive(with_files(("a.txt", EICAR)), jo)
    world.clock.advance(timedelta(days=91))
    assert await world.trace.forget(practice) == 1
    kept = counted(superuser_dsn)
    assert (kept["verdict"], kept["held_message"], kept["message"]) == (1, 1, 1)


async def test_no_word_of_a_message_is_in_the_clear_in_any_table(world: GatewayWorld, superuser_dsn: str) -> None:
    _, jo = await world.person(await world.organisation("A81001"), "Jo Bloggs")
    canary = "quokkazebra"
    await world.receive(
        letter(f"{canary} body", subject=f"{canary} subject", author=f"{canary} <{canary}@webmail.example>"), jo
    )
    await world.receive(with_files((f"{canary}.txt", EICAR)), jo, sender=f"{canary}@webmail.example")
    with psycopg.connect(superuser_dsn) as rows:
        for table in (*TABLES, "held_recipient", "audit_event"):
            for (row,) in rows.execute(f"SELECT t::text FROM {table} AS t"):  # type: ignore[arg-type]
                assert canary not in row
                assert canary.encode().hex() not in row


async def test_the_role_that_faces_strangers_cannot_read_what_it_wrote(world: GatewayWorld) -> None:
    practice = await world.organisation("A81001")
    _, jo = await world.person(practice, "Jo Bloggs")
    await world.receive(letter(), jo)
    for table in ("verdict", "verdict_token", "verdict_recipient", "held_recipient"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with world.relay_db.transaction(practice) as tx:
                await tx.all("SELECT * FROM " + table)  # type: ignore[arg-type]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with world.relay_db.transaction(practice) as tx:
            await tx.all("SELECT wrapped FROM held_message")
