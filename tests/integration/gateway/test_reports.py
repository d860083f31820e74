"""Reports on mail that another system had taken: what may change by them, and what never does. RFC 3464, R165."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from tests.conftest import PostgresForTests
from tests.fakes.automatic_world import AutomaticWorld
from tests.fakes.outgoing_world import NHS

from carepost.audit.events import EventName
from carepost.base.address import EmailAddress
from carepost.delivery.dispatch import Settled, Settlement
from carepost.delivery.model import HopEvidence, VerifiedBy
from carepost.directory.model import MailboxRecord
from carepost.gateway.arrived import Arrivals
from carepost.gateway.out.outgoing import RecipientState, Submitted
from carepost.gateway.out.reports import Reports
from carepost.infra.db import Database
from carepost.message.dsn import Dsn, DsnAction, DsnRecipient, Letter, write_dsn
from carepost.message.parse import parse

SHOP, LATE = "a@shop.example", "b@shop.example"


@pytest.fixture(scope="module")
def database_name(postgres: PostgresForTests) -> Iterator[str]:
    name = postgres.clone()
    yield name
    postgres.drop(name)


class ReportingWorld(AutomaticWorld):
    def build(self, checks: object = None) -> None:
        super().build(checks)
        reports = Reports(opening=self.opening, edge=self.edge, audit=self.audit, clock=self.clock)
        self.arrivals = Arrivals(
            db=self.db, directory=self.directory, messages=self.messages, acts=[reports], clock=self.clock
        )

    async def taken(self, *to: str, **more: object) -> Submitted:
        """Sent, and taken by the next system."""
        done = await self.outbound.submit(self.submission(*to, **more))  # type: ignore[arg-type]
        assert isinstance(done, Submitted)
        await self.later()
        for seq in range(len(to)):
            await self.settle(done, seq, Settled.DELIVERED)
        return done

    async def settle(self, done: Submitted, seq: int, outcome: Settled) -> None:
        hop = HopEvidence("mx.shop.example", "192.0.2.1", "TLSv1.3", "AES", VerifiedBy.PKIX, self.clock.now(), "250 ok")
        async with self.db.transaction(self.practice) as tx:
            settlement = Settlement(
                organisation=self.practice,
                delivery=1,  # type: ignore[arg-type]
                outgoing=done.id,
                trace=done.trace,
                seq=seq,
                address=EmailAddress.parse(SHOP),
                outcome=outcome,
                says="The mail system of shop.example has accepted it.",
                at=self.clock.now(),
                attempts=1,
                evidence=hop,
            )
            await self.follow.settled(tx, settlement)

    def report(self, *who: str, action: DsnAction = DsnAction.FAILED, about: bytes | None = None, **more: str) -> bytes:
        letter = Letter(
            from_="Mail Delivery System <mailer-daemon@shop.example>",
            to=self.hers.address,
            about=parse(about or self.letter(SHOP)),
            full=False,
            date=self.clock.now(),
            message_id="bounce@shop.example",
            reference="none",
        )
        recipients = [
            DsnRecipient(
                address=EmailAddress.parse(one),
                action=action,
                status="5.1.1" if action is DsnAction.FAILED else "4.2.2",
                says="No.",
                diagnostic="550 5.1.1 No such user",
                original=more.get("original"),
            )
            for one in who
        ]
        dsn = Dsn(reporting="mx.shop.example", arrived=self.clock.now(), recipients=recipients, envid=more.get("envid"))
        return write_dsn(dsn, letter)

    async def hear(self, raw: bytes, *, sender: str | None = None, to: MailboxRecord | None = None) -> None:
        await self.arrive(to or self.hers, sender=sender, raw=raw)
        while await self.arrivals.run_due():
            pass

    async def states(self, done: Submitted) -> list[str]:
        return [one.state.value for one in (await self.view.get(self.nurse, done.id)).recipients]


@pytest.fixture
async def world(database: Database, relay_database: Database, superuser_dsn: str) -> ReportingWorld:
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("TRUNCATE arrival")
    built = ReportingWorld(database, relay_database)
    await built.furnish()
    return built


async def test_what_another_system_took_and_gave_back_stands_on_the_tray_with_its_reason(world: ReportingWorld) -> None:
    done = await world.taken(SHOP, LATE)
    assert await world.states(done) == ["relayed", "relayed"]
    await world.hear(world.report(SHOP))
    assert await world.states(done) == ["failed", "relayed"]
    assert await world.view.tray(world.nurse, world.hers.id) == 1
    [row] = await world.view.not_delivered(world.nurse, world.hers.id)
    assert "a report that came back says that it could not be delivered" in row.recipients[0].says
    assert "550 5.1.1 No such user" in row.recipients[0].says
    assert await world.inbox(world.hers) == [], "the tray tells, though the report itself was taken for junk"
    await world.outbound.resend(world.nurse, done.id, 0)
    assert await world.states(done) == ["queued", "relayed"], "and it can be sent again"
    async with world.db.transaction(world.practice) as tx:
        rows = await tx.all("SELECT event, details::text AS details FROM audit_event", {})
    [event] = [row for row in rows if row["event"] == EventName.OUTGOING_NOT_DELIVERED.value]
    assert "reported" in event["details"]


async def test_one_that_is_late_there_says_so_and_is_not_given_up(world: ReportingWorld) -> None:
    done = await world.taken(SHOP)
    await world.hear(world.report(SHOP, action=DsnAction.DELAYED))
    [one] = (await world.view.get(world.nurse, done.id)).recipients
    assert one.state is RecipientState.RELAYED
    assert "it is delayed there" in one.says
    await world.hear(world.report(SHOP))
    assert await world.states(done) == ["failed"]


async def test_somebody_it_was_sent_on_to_is_known_by_whom_it_was_for(world: ReportingWorld) -> None:
    done = await world.taken(SHOP)
    await world.hear(world.report("elsewhere@other.example", original=f"rfc822;{SHOP}"))
    assert await world.states(done) == ["failed"]


@pytest.mark.parametrize(
    "forged",
    ["another message", "another recipient", "a reverse-path", "another mailbox", "another envelope", "it arrived"],
)
async def test_a_report_that_does_not_fit_changes_nothing(world: ReportingWorld, forged: str) -> None:
    done = await world.taken(SHOP, envid="QQ314159")
    action = DsnAction.DELIVERED if forged == "it arrived" else DsnAction.FAILED
    about = world.letter(SHOP).replace(b"<one@", b"<two@") if forged == "another message" else None
    who = "c@shop.example" if forged == "another recipient" else SHOP
    envid = "somebody's" if forged == "another envelope" else "QQ314159"
    await world.hear(
        world.report(who, action=action, about=about, envid=envid),
        sender="pat@webmail.example" if forged == "a reverse-path" else None,
        to=world.his if forged == "another mailbox" else None,
    )
    assert await world.states(done) == ["relayed"]
    assert await world.view.tray(world.nurse, world.hers.id) == 0


async def test_what_we_know_better_is_never_changed_by_a_report(world: ReportingWorld) -> None:
    inside = str(world.theirs.address)
    done = await world.outbound.submit(
        world.submission(inside, SHOP, "pat@gmail.example", text=f"NHS {NHS}\r\n", secure=True)
    )
    assert isinstance(done, Submitted)
    await world.hear(world.report(inside, SHOP, "pat@gmail.example"))
    assert await world.states(done) == ["waiting"] * 3, "nothing of it has left"
    await world.later()
    await world.settle(done, 2, Settled.DELIVERED)
    async with world.db.transaction(world.practice) as tx:
        await world.follow.seen(tx, world.practice, done.id, 2, "opened", world.clock.now())
    world.clock.advance(timedelta(hours=1))
    await world.hear(world.report(inside, SHOP, "pat@gmail.example"))
    assert await world.states(done) == ["delivered", "queued", "opened"]


async def test_a_report_that_overtakes_our_own_note_is_heard_when_it_is_written(world: ReportingWorld) -> None:
    done = await world.outbound.submit(world.submission(SHOP))
    assert isinstance(done, Submitted)
    await world.later()
    await world.hear(world.report(SHOP))
    assert await world.states(done) == ["queued"]
    await world.settle(done, 0, Settled.DELIVERED)
    world.clock.advance(timedelta(minutes=1))
    await world.arrivals.run_due()
    assert await world.states(done) == ["failed"]


async def test_whatever_calls_itself_a_report_harms_nobody(world: ReportingWorld) -> None:
    done = await world.taken(SHOP)
    whole = world.report(SHOP)
    for raw in (
        whole.replace(b"Action: failed", b"Action: \xff\xfe"),
        whole.replace(b"rfc822;", b""),
        whole.replace(b"Message-ID: <one@", b"Message-ID: <<\x00one@"),
        whole[: len(whole) // 2],
    ):
        await world.hear(raw.replace(SHOP.encode(), b"nobody@nowhere.example"))
    assert await world.states(done) == ["relayed"]
