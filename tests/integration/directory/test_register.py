"""The register of secure domains: who counts, until when, and a published list taken over."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from tests.fakes.town import OPERATOR, Town, build_town

from carepost.audit import events_correspondents
from carepost.base.address import Domain
from carepost.base.errors import Malformed, NotAllowed, NotPossible
from carepost.directory.model import DomainMatch, SecureDomain
from carepost.directory.register_file import RegisterDiff, RegisterFilePolicy, read_register_file
from carepost.directory.register_keeping import RegisterKeeping
from carepost.infra.db import Database

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
OWN = frozenset({Domain("riverside.example")})
LIST = """Organisation,Email domain,Date accredited,Expiry date
Lakeside Trust,lakeside-trust.example,01/06/2026,2027-06-01
Council,@council-care.example,2026-11-01,
Laboratory,northlab.example,,
"""


def read(text: str | bytes) -> tuple[list[tuple[str, str]], list[tuple[int, str]]]:
    raw = text.encode() if isinstance(text, str) else text
    found = read_register_file(raw, source="list", own=OWN, now=NOW)
    entries = [(entry.domain.name, entry.accredited_until.date().isoformat()) for entry in found.entries]
    return entries, [(fault.line, fault.says) for fault in found.faults]


def test_a_published_list_is_read_whatever_its_dates_look_like() -> None:
    entries, faults = read(LIST)
    assert faults == []
    assert entries == [
        ("lakeside-trust.example", "2027-06-01"),
        ("council-care.example", "2027-11-01"),
        ("northlab.example", "2027-11-22"),
    ]
    assert read(b"\xef\xbb\xbfDOMAIN\r\nnorthlab.example\r\n\r\n") == ([("northlab.example", "2027-11-22")], [])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not a domain", "is not a domain"),
        ("[192.0.2.1]", "is not a mail domain"),
        ("uk", "is not a mail domain"),
        (",exact", "There is no domain"),
        ("riverside.example", "one of our own"),
        ("ward.riverside.example", "one of our own"),
        ("rivers1de.example", "looks like riverside.example"),
        ("riversіde.example", "letters of another script"),
        ("xn--riversde-ykb.example", "letters of another script"),
        ("good.example,regex", "neither exact nor suffix"),
        ("good.example,,tomorrow", "is not a date"),
        ("good.example,,2027-01-01", "has not come yet"),
        ("good.example,,2026-01-01,2025-01-01", "ends before it begins"),
        ("gооd.example", "letters of another script"),
        ("a" * 64 + ".example", "is not a domain"),
        ("x" * 20_000, "is not a domain"),
    ],
)
def test_a_line_that_cannot_be_taken_is_told_of_and_the_others_are_read(line: str, says: str) -> None:
    entries, faults = read(f"domain,match,accredited,expires\n{line}\nnorthlab.example\n")
    assert [name for name, _ in entries] == ["northlab.example"]
    ((number, told),) = faults
    assert number == 2
    assert says in told
    assert len(told) < 250


def test_a_domain_twice_is_told_of_at_its_second_line() -> None:
    entries, faults = read("domain\na.example\nA.example.\n")
    assert len(entries) == 1
    assert faults == [(3, "a.example is on an earlier line too.")]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"name,address\nx,y\n",
        b"PK\x03\x04\0\0\0",
        b"domain\n" + b"a.example\n" * 60_000,
        b"domain\n" + b"not a domain\n" * 2_000,
        b"domain\n" + b"x" * 6_000_000,
        b'domain\n"' + b"x" * 200_000,
    ],
)
def test_what_is_no_such_list_is_refused_whole(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_register_file(raw, source="list", own=OWN, now=NOW, policy=RegisterFilePolicy())


def test_nobody_is_believed_for_longer_than_a_year() -> None:
    entries, _ = read("domain,accredited,expires\na.example,2026-11-01,2036-11-01\n")
    assert entries == [("a.example", "2027-11-01")]


@pytest.fixture
async def town(database: Database) -> Town:
    return await build_town(database)


@pytest.fixture
def register(town: Town) -> RegisterKeeping:
    return RegisterKeeping(db=town.db, directory=town.directory, audit=town.audit, clock=town.clock)


async def _names(register: RegisterKeeping) -> list[str]:
    return [entry.domain.name for entry in (await register.page(limit=500)).entries]


def _told(diff: RegisterDiff) -> tuple[list[str], list[str], list[str], int]:
    return (
        [one.domain.name for one in diff.added],
        [one.domain.name for _, one in diff.changed],
        [one.domain.name for one in diff.removed],
        diff.unchanged,
    )


async def test_a_list_is_shown_first_then_taken_over_and_the_second_time_changes_nothing(
    register: RegisterKeeping, superuser_dsn: str
) -> None:
    raw = LIST.encode()
    shown = await register.preview(OPERATOR, raw, source="The list")
    assert _told(shown) == (["council-care.example", "lakeside-trust.example", "northlab.example"], [], [], 0)
    assert await _names(register) == []
    done = await register.apply(OPERATOR, raw, source="The list", fingerprint=shown.fingerprint)
    assert done == shown
    assert len(await _names(register)) == 3
    again = await register.apply(OPERATOR, raw, source="The list")
    assert again.is_empty
    assert again.unchanged == 3
    with psycopg.connect(superuser_dsn) as connection:
        events = [row[0] for row in connection.execute("SELECT event FROM audit_event")]
    assert events.count(events_correspondents.SecureDomainsImported.name.value) == 1
    assert events.count("directory.secure_domain.listed") == 3


async def test_what_left_the_list_goes_and_other_sources_stay(register: RegisterKeeping, town: Town) -> None:
    await register.apply(OPERATOR, LIST.encode(), source="The list")
    await town.organisations.list_secure_domain(OPERATOR, Domain("partner.example"), source="Ourselves")
    shorter = b"domain,accredited\nlakeside-trust.example,2026-11-20\npartner.example,2026-11-20\n"
    done = await register.apply(OPERATOR, shorter, source="The list")
    assert _told(done) == ([], ["lakeside-trust.example"], ["council-care.example", "northlab.example"], 0)
    assert [fault.says for fault in done.faults] == [
        "partner.example is in the register already, by Ourselves. It is left as it is."
    ]
    assert await _names(register) == ["lakeside-trust.example", "partner.example"]
    assert not (await town.directory.is_secure(Domain("northlab.example"))).secure


async def test_a_line_that_cannot_be_read_stops_the_list_and_skipped_it_removes_nobody(
    register: RegisterKeeping,
) -> None:
    await register.apply(OPERATOR, LIST.encode(), source="The list")
    torn = b"domain\nlakeside-trust example\nnew.example\n"
    with pytest.raises(NotPossible, match="1 lines cannot be read"):
        await register.apply(OPERATOR, torn, source="The list")
    done = await register.apply(OPERATOR, torn, source="The list", despite_faults=True)
    assert _told(done) == (["new.example"], [], [], 0)
    assert len(await _names(register)) == 4


async def test_what_somebody_confirmed_is_not_done_to_a_register_that_has_changed(
    register: RegisterKeeping, town: Town
) -> None:
    shown = await register.preview(OPERATOR, LIST.encode(), source="The list")
    await town.organisations.list_secure_domain(OPERATOR, Domain("northlab.example"), source="Ourselves")
    with pytest.raises(NotPossible, match="has changed since you looked"):
        await register.apply(OPERATOR, LIST.encode(), source="The list", fingerprint=shown.fingerprint)
    assert await _names(register) == ["northlab.example"]


async def test_a_domain_that_runs_out_is_not_secure_the_same_day(register: RegisterKeeping, town: Town) -> None:
    await register.apply(OPERATOR, b"domain,accredited,expires\na.example,2026-01-01,2026-11-23\n", source="The list")
    secure = town.directory.is_secure
    assert (await secure(Domain("a.example"))).secure
    assert [entry.domain.name for entry in await register.running_out()] == ["a.example"]
    town.clock.at = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    assert (await secure(Domain("a.example"))).secure
    town.clock.advance(timedelta(seconds=1))
    verdict = await secure(Domain("a.example"))
    assert not verdict.secure
    assert verdict.because == "The accreditation of a.example ended on 2026-11-23."
    assert (await register.page()).lapsed == 1
    done = await register.apply(
        OPERATOR, b"domain,accredited,expires\na.example,2026-01-01,2026-11-23\n", source="The list"
    )
    assert _told(done) == ([], [], ["a.example"], 0)


async def test_look_alikes_never_match(register: RegisterKeeping, town: Town) -> None:
    """R102: exactly, or by whole labels below a listed suffix."""
    await town.organisations.list_secure_domain(OPERATOR, Domain("trust.example"), source="list")
    await town.organisations.list_secure_domain(
        OPERATOR, Domain("gov.example"), source="list", match=DomainMatch.SUFFIX
    )
    secure = [
        name
        for name in (
            "trust.example", "TRUST.example.", "x.trust.example", "trust.example.evil.example", "trustexample.example",
            "trust-example.example", "tru5t.example", "trսst.example", "trust.examp1e", "gov.example",
            "council.gov.example", "a.b.gov.example", "evilgov.example", "gov.example.net", "ɡov.example", "g0v.example",
        )
        if (await town.directory.is_secure(Domain.parse(name))).secure
    ]  # fmt: skip
    assert secure == ["trust.example", "TRUST.example.", "gov.example", "council.gov.example", "a.b.gov.example"]


async def test_the_nearest_entry_that_holds_decides(town: Town) -> None:
    await town.organisations.list_secure_domain(
        OPERATOR, Domain("gov.example"), source="list", match=DomainMatch.SUFFIX, until=NOW + timedelta(days=300)
    )
    await town.organisations.list_secure_domain(
        OPERATOR, Domain("council.gov.example"), source="ended", until=NOW + timedelta(days=1)
    )
    town.clock.advance(timedelta(days=2))
    verdict = await town.directory.is_secure(Domain("council.gov.example"))
    assert verdict.secure
    assert verdict.entry is not None
    assert verdict.entry.source == "list"


async def test_pages_of_the_register_follow_each_other(register: RegisterKeeping) -> None:
    lines = "".join(f"d{number:03}.example\n" for number in range(120))
    await register.apply(OPERATOR, f"domain\n{lines}".encode(), source="The list")
    seen: list[SecureDomain] = []
    after: str | None = ""
    while after is not None:
        page = await register.page(after=after, limit=50)
        seen += page.entries
        after = page.after
    assert [entry.domain.name for entry in seen] == [f"d{number:03}.example" for number in range(120)]
    assert [entry.domain.name for entry in (await register.page(search="D11")).entries][:2] == [
        "d110.example",
        "d111.example",
    ]


async def test_only_whoever_may_edit_the_register_may_import(register: RegisterKeeping, town: Town) -> None:
    ada = await town.person("Ada Okafor")
    for attempt in (register.preview, register.apply):
        with pytest.raises(NotAllowed):
            await attempt(town.as_person(ada), LIST.encode(), source="The list")
