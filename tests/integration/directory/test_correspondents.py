"""Whom a mailbox writes to, what is known of them, and who is suggested: on PostgreSQL."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest
from tests.fakes.town import OPERATOR, Town, build_town

from carepost.audit import events_correspondents
from carepost.base.address import Domain, EmailAddress
from carepost.base.errors import NotAllowed, NotPossible
from carepost.base.ids import OrganisationId
from carepost.directory.correspondents import Correspondents
from carepost.directory.correspondents_model import HowVerified, Place, Source, Suggestion, initials_of, words_of
from carepost.directory.mailboxes import MailboxStatus
from carepost.directory.model import OrganisationKind, Person, PersonStatus
from carepost.directory.people import NewPerson
from carepost.infra.db import Database, Transaction
from carepost.infra.vault import EdgeKey


@dataclass(frozen=True)
class _Key:
    key: bytes


class FakeMailboxKeys:
    async def mailbox(self, tx: Transaction, mailbox: Place) -> _Key:
        return _Key(hashlib.sha256(f"{mailbox.organisation} {mailbox.id}".encode()).digest())


@dataclass
class Surroundings:
    town: Town
    correspondents: Correspondents
    ada: Person

    @property
    def place(self) -> Place:
        assert self.ada.mailbox is not None
        return Place(self.ada.mailbox, self.town.practice)

    async def write(self, *addresses: str, times: int = 1, names: dict[str, str] | None = None) -> None:
        to = [EmailAddress.parse(one) for one in addresses]
        for _ in range(times):
            async with self.town.db.transaction(self.town.practice) as tx:
                await self.correspondents.note_sent(
                    tx, self.town.practice, self.place.id, to, self.town.clock.now(), names=names
                )

    async def suggest(self, prefix: str, **more: int) -> list[Suggestion]:
        return await self.correspondents.suggest(self.town.as_person(self.ada), self.place, prefix, **more)

    async def elsewhere(self, name: str, *, job: str = "") -> tuple[OrganisationId, Person]:
        """Somebody in another organisation of the service."""
        organisations = self.town.organisations
        found = await self.town.directory.organisation_by_code("RZ9")
        if found is None:
            where = await organisations.create(OPERATOR, code="RZ9", name="St Jude's", kind=OrganisationKind.TRUST)
            await organisations.add_domain(OPERATOR, Domain("stjudes.example"), owner=where)
        else:
            where = found.id
        given, family = name.split()
        new = NewPerson(given_name=given, family_name=family, domain=Domain("stjudes.example"), job_title=job)
        made = await self.town.people.create(OPERATOR, where, new)
        await self.town.people.set_status(OPERATOR, where, made.id, PersonStatus.ACTIVE, reason="for a test")
        return where, made


@pytest.fixture
async def around(database: Database) -> Surroundings:
    town = await build_town(database)
    correspondents = Correspondents(
        db=database,
        directory=town.directory,
        keys=FakeMailboxKeys(),
        edge=EdgeKey(b"e" * 32),
        audit=town.audit,
        clock=town.clock,
    )
    return Surroundings(town, correspondents, await town.person("Ada Okafor"))


async def test_a_mailbox_knows_how_often_it_has_written_to_somebody(around: Surroundings) -> None:
    jo, sam = EmailAddress.parse("Jo@Home.example"), EmailAddress.parse("sam@home.example")
    await around.write("jo@home.example", times=3)
    known = await around.correspondents.known(around.place, [jo, sam])
    assert (known[jo.key].times, known[jo.key].last_at) == (3, around.town.clock.now())
    assert (known[sam.key].times, known[sam.key].last_at) == (0, None)


async def test_another_mailbox_knows_nothing_of_it(around: Surroundings) -> None:
    tomasz = await around.town.person("Tomasz Nowak")
    await around.write("jo@home.example")
    jo = EmailAddress.parse("jo@home.example")
    assert tomasz.mailbox is not None
    known = await around.correspondents.known(Place(tomasz.mailbox, around.town.practice), [jo])
    assert known[jo.key].times == 0


async def test_no_address_and_no_name_of_a_correspondent_is_in_the_database(
    around: Surroundings, superuser_dsn: str
) -> None:
    await around.write("jo.outsider@home.example", names={"jo.outsider@home.example": "Josephine"})
    with psycopg.connect(superuser_dsn) as connection:
        for table in ("correspondent", "correspondent_together", "audit_event", "directory_entry", "directory_word"):
            text = connection.execute(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} AS t").fetchone()
            assert text is not None
            for secret in ("outsider", "josephine"):
                assert secret not in text[0].lower()
                assert secret.encode().hex() not in text[0].lower()


async def test_a_name_that_was_once_given_stays_when_the_next_message_gives_none(around: Surroundings) -> None:
    await around.write("jo@home.example", names={"jo@home.example": "Jo Outsider"})
    await around.write("jo@home.example")
    (only,) = await around.correspondents.acquaintances(around.place)
    assert (only.name, only.times) == ("Jo Outsider", 2)


async def test_company_is_remembered(around: Surroundings) -> None:
    jo, sam, kim = (EmailAddress.parse(f"{name}@home.example") for name in ("jo", "sam", "kim"))
    await around.write(str(jo), str(sam), times=2)
    await around.write(str(jo), str(kim))
    async with around.town.db.transaction(around.town.practice) as tx:
        found = await around.correspondents.together_in(tx, around.place, [jo], [sam, kim])
    assert found == {(jo.key, sam.key): 2, (jo.key, kim.key): 1}


async def test_those_written_to_come_first_and_the_directory_after_them(around: Surroundings) -> None:
    await around.town.person("Samuel Osei")
    await around.elsewhere("Sam Mbeki", job="Ward sister")
    await around.write("sam@home.example", names={"sam@home.example": "Sam Outsider"})
    lines = await around.suggest("sam")
    assert [(line.name, line.organisation, line.role, line.chip, line.source) for line in lines] == [
        ("Sam Outsider", "", "", "outside", Source.WRITTEN_TO),
        ("Samuel Osei", "Riverside Practice", "", "inside", Source.DIRECTORY),
        ("Sam Mbeki", "St Jude's", "Ward sister", "inside", Source.DIRECTORY),
    ]
    assert [line.initials for line in lines] == ["SO", "SO", "SM"]


async def test_several_words_and_accents_and_the_beginning_of_an_address_find_somebody(around: Surroundings) -> None:
    await around.elsewhere("Zoë Müller")
    for typed in ("zoe mul", "MULLER z", "zoe.mul", "Müller", "zoe.muller@stj"):
        assert [line.name for line in await around.suggest(typed)] == ["Zoë Müller"], typed
    assert await around.suggest("zoe nobody") == []
    assert await around.suggest("z") == []  # one letter finds half the service


async def test_somebody_who_has_left_is_not_suggested_any_more(around: Surroundings) -> None:
    where, sam = await around.elsewhere("Sam Mbeki")
    await around.write(str(sam.address), times=5)
    assert len(await around.suggest("mbeki")) == 1
    await around.town.people.set_status(OPERATOR, where, sam.id, PersonStatus.LEAVER, reason="left")
    around.town.clock.advance(timedelta(seconds=30))
    assert await around.suggest("mbeki") == []
    assert await around.correspondents.acquaintances(around.place) == ()


async def test_a_shared_mailbox_that_is_not_for_urgent_advice_says_so(around: Surroundings) -> None:
    made = await around.town.mailboxes.create_shared(
        OPERATOR,
        around.town.practice,
        address=around.town.address("results"),
        display_name="Riverside results",
        owners=[around.ada.id],
        not_for_urgent=True,
    )
    (line,) = await around.suggest("results")
    assert (line.warning, line.shared) == ("Not for urgent clinical advice", True)
    await around.town.mailboxes.set_status(
        OPERATOR, around.town.practice, made.mailbox, MailboxStatus.CLOSED, reason="merged"
    )
    assert await around.suggest("results") == []


async def test_an_invited_person_is_not_suggested_before_mail_can_reach_them(around: Surroundings) -> None:
    await around.town.person("Ruth Evans", active=False)
    assert await around.suggest("ruth") == []


async def test_a_stranger_may_not_ask_for_another_mailbox_suggestions(around: Surroundings) -> None:
    tomasz = await around.town.person("Tomasz Nowak")
    with pytest.raises(NotAllowed):
        await around.correspondents.suggest(around.town.as_person(tomasz), around.place, "ada")


async def test_what_is_forgotten_is_a_stranger_again_and_consent_stays(around: Surroundings) -> None:
    jo, me = EmailAddress.parse("jo@home.example"), around.town.as_person(around.ada)
    await around.write(str(jo), times=4, names={jo.key: "Jo Outsider"})
    await around.correspondents.note_consent(me, around.place, jo, agreed=True)
    assert [line.name for line in await around.suggest("outsider")] == ["Jo Outsider"]
    await around.correspondents.forget(me, around.place, jo)
    assert await around.suggest("outsider") == []
    known = (await around.correspondents.known(around.place, [jo]))[jo.key]
    assert (known.times, known.consent_plain) == (0, True)
    with pytest.raises(NotPossible):
        await around.correspondents.forget(me, around.place, EmailAddress.parse("never@home.example"))


async def test_checks_flags_and_consent_are_kept_and_recorded(around: Surroundings, superuser_dsn: str) -> None:
    jo, me = EmailAddress.parse("jo@home.example"), around.town.as_person(around.ada)
    await around.correspondents.note_verified(me, around.place, jo, HowVerified.BY_TELEPHONE)
    await around.correspondents.flag_patient(me, around.place, jo, patient=True)
    await around.correspondents.note_consent(me, around.place, jo, agreed=True)
    await around.correspondents.note_consent(me, around.place, jo, agreed=False)
    await around.correspondents.forget(me, around.place, jo)
    async with around.town.db.transaction(around.place.organisation) as tx:
        await around.correspondents.note_answer(tx, me, around.place, jo, is_theirs=False)
    denied = (await around.correspondents.known(around.place, [jo]))[jo.key]
    assert (denied.denied, denied.verified_at) == (True, None)
    await around.correspondents.note_verified(me, around.place, jo, HowVerified.BY_TELEPHONE)
    known = (await around.correspondents.known(around.place, [jo]))[jo.key]
    assert not known.denied
    assert (known.patient, known.consent_plain, known.verified_how) == (True, False, HowVerified.BY_TELEPHONE)
    assert known.is_verified(around.town.clock.now())
    assert not known.is_verified(around.town.clock.now() + timedelta(days=366))
    with psycopg.connect(superuser_dsn) as connection:
        names = {row[0] for row in connection.execute("SELECT event FROM audit_event")}
    raised = (
        events_correspondents.ConsentNoted,
        events_correspondents.PatientFlagged,
        events_correspondents.CorrespondentVerified,
        events_correspondents.CorrespondentDenied,
        events_correspondents.CorrespondentForgotten,
    )
    assert {kind.name.value for kind in raised} <= names


async def test_two_who_send_from_one_mailbox_at_once_are_both_counted(around: Surroundings) -> None:
    first, second = ("jo@home.example", "kim@home.example"), ("kim@home.example", "jo@home.example")
    await asyncio.gather(*(around.write(*both) for both in (first, second) * 4))
    jo = EmailAddress.parse("jo@home.example")
    assert (await around.correspondents.known(around.place, [jo]))[jo.key].times == 8


async def test_a_mailbox_is_not_remembered_for_ever(around: Surroundings) -> None:
    await around.write("jo@home.example")
    assert await around.correspondents.forget_strangers(around.town.practice) == 0
    around.town.clock.advance(timedelta(days=731))
    assert await around.correspondents.forget_strangers(around.town.practice) == 1


async def test_who_has_the_same_name_is_found_in_every_organisation(around: Surroundings) -> None:
    _, other = await around.elsewhere("Ada Okafor")
    await around.elsewhere("Ada Okaforth")
    found = await around.correspondents.namesakes(around.town.practice, ["Okafor, Ada", "", "Nobody Here"])
    assert {entry.address for entry in found} == {around.ada.address, other.address}


def test_words_and_initials() -> None:
    assert words_of("  Dr. Zoë-Anne O'Neill <x@y.example>") == ["dr", "zoe", "anne", "o", "neill", "x"]
    assert (initials_of("Ada Mary Okafor"), initials_of("results"), initials_of("")) == ("AO", "R", "")
