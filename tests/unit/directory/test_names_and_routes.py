"""Addresses, names, routes and the register, as values."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.base.address import Domain, EmailAddress
from carepost.base.errors import Malformed
from carepost.base.ids import MailboxId, OrganisationId
from carepost.directory.model import (
    AddressRoute,
    DomainMatch,
    Found,
    MailboxKind,
    RefusalReason,
    Refusing,
    RouteState,
    SecureDomain,
    Unknown,
)
from carepost.directory.naming import clean_display_name, clean_person_name, local_base, suggest_local
from carepost.directory.register import judge
from carepost.directory.revoking import Revoked
from carepost.directory.routing import RoutingPolicy, choose, keys_of

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
ORG, BOX = OrganisationId(1000), MailboxId(5)


def row(address: str, state: RouteState = RouteState.ACCEPTING) -> AddressRoute:
    return AddressRoute(
        address=EmailAddress.parse(address), organisation=ORG, mailbox=BOX, kind=MailboxKind.PERSONAL, state=state
    )


@pytest.mark.parametrize(
    ("given_name", "family_name", "expected"),
    [
        ("Amina", "Okafor", "amina.okafor"),
        ("Zoë", "O'Neill", "zoe.oneill"),
        ("Anne-Marie", "van der Berg", "anne-marie.vanderberg"),
        ("Łukasz", "Strauß", "lukasz.strauss"),
        ("Bjørn", "Þórsson", "bjorn.thorsson"),
        ("J.", "Smith", "j.smith"),
    ],
)
def test_an_address_is_made_of_the_name_in_plain_letters(given_name: str, family_name: str, expected: str) -> None:
    assert suggest_local(given_name, family_name, ()) == expected


def test_a_name_that_is_taken_gets_the_next_number() -> None:
    assert suggest_local("Jo", "Bloggs", {"jo.bloggs", "jo.bloggs2", "jo.bloggs4"}) == "jo.bloggs3"


def test_a_name_without_a_latin_letter_needs_an_address_from_a_person() -> None:
    with pytest.raises(Malformed, match="please give one"):
        local_base("李", "王")


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_the_name_the_address_is_one(given_name: str, family_name: str) -> None:
    try:
        local = suggest_local(given_name, family_name, ())
    except Malformed:
        return
    assert EmailAddress.parse(f"{local}@riverside.example").local == local


@pytest.mark.parametrize("name", ["Reception", "Ward 4 (North)", "A & E", "St. Mary's", "Réception"])
def test_a_display_name_may_be_what_people_write_on_doors(name: str) -> None:
    assert clean_display_name(f"  {name} ") == name


@pytest.mark.parametrize(
    "name", ["", " ", "x" * 250, "a@b.example", 'the "boss"', "<script>", "a\u202eb", "a\u0000b", "a;b"]
)
def test_a_display_name_cannot_pass_for_something_else(name: str) -> None:
    with pytest.raises(Malformed):
        clean_display_name(name)


@pytest.mark.parametrize("name", ["", "1337", "<b>", "a" * 101, "x\u200by"])
def test_a_person_has_a_name_of_letters(name: str) -> None:
    with pytest.raises(Malformed, match="first name"):
        clean_person_name(name, which="first name")


# --- routes ---------------------------------------------------------------------------------------------------------


def route(text: str, *rows: AddressRoute, ours: bool = True, policy: RoutingPolicy | None = None) -> object:
    address = EmailAddress.parse(text)
    return choose(address, keys_of(address, policy or RoutingPolicy()), rows, ours=ours)


@pytest.mark.parametrize(
    "text", ["jo@a.example", "JO@A.example", "jo+x@a.example", "jo+x+y@a.example", '"jo"@a.example', '"j\\o"@a.example']
)
def test_case_tags_and_needless_quotes_make_no_difference(text: str) -> None:
    found = route(text, row("jo@a.example"))
    assert isinstance(found, Found)
    assert (found.mailbox, str(found.address)) == (BOX, str(EmailAddress.parse(text)))


def test_somebody_who_owns_the_whole_address_comes_before_the_base() -> None:
    whole = AddressRoute(
        address=EmailAddress.parse("jo+x@a.example"),
        organisation=ORG,
        mailbox=MailboxId(6),
        kind=MailboxKind.SHARED,
        state=RouteState.ACCEPTING,
    )
    found = route("jo+x@a.example", row("jo@a.example"), whole)
    assert isinstance(found, Found)
    assert found.mailbox == MailboxId(6)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (RouteState.PENDING, RefusalReason.NOT_ACTIVATED),
        (RouteState.CLOSED, RefusalReason.CLOSED),
        (RouteState.FULL, RefusalReason.FULL),
    ],
)
def test_an_address_that_takes_no_mail_says_why(state: RouteState, reason: RefusalReason) -> None:
    assert route("jo@a.example", row("jo@a.example", state)) == Refusing(reason)


def test_an_address_nobody_has_and_a_domain_that_is_not_ours() -> None:
    assert route("jo@a.example") == Unknown(ours=True)
    assert route("jo@a.example", row("jo@a.example"), ours=False) == Unknown(ours=False)
    assert route("+x@a.example") == Unknown(ours=True)


def test_postmaster_of_every_own_domain_reaches_whom_the_operator_named() -> None:
    policy = RoutingPolicy(postmaster=EmailAddress.parse("it@a.example"))
    for duty in ("postmaster", "Postmaster", "abuse"):
        assert isinstance(route(f"{duty}@b.example", row("it@a.example"), policy=policy), Found)
    assert route("postmaster@b.example", row("it@a.example")) == Unknown(ours=True)
    assert route("postmaster@c.example", row("it@a.example"), policy=policy, ours=False) == Unknown(ours=False)


# --- the register ---------------------------------------------------------------------------------------------------


def entry(domain: str, match: DomainMatch, *, days: int = 365) -> SecureDomain:
    return SecureDomain(
        domain=Domain(domain),
        match=match,
        source="DCB1596",
        accredited_at=NOW - timedelta(days=1),
        accredited_until=NOW + timedelta(days=days),
    )


REGISTER = [
    entry("nhs.example", DomainMatch.SUFFIX),
    entry("trust.example", DomainMatch.EXACT),
    entry("late.example", DomainMatch.EXACT, days=0),
]
OWN = frozenset({Domain("riverside.example")})


@pytest.mark.parametrize(
    ("domain", "secure"),
    [
        ("riverside.example", True),
        ("a.riverside.example", False),
        ("nhs.example", True),
        ("ward.hospital.nhs.example", True),
        ("evilnhs.example", False),
        ("nhs.example.evil.example", False),
        ("nhs-example.example", False),
        ("trust.example", True),
        ("a.trust.example", False),
        ("trusts.example", False),
        ("xn--trst-kva.example", False),
        ("late.example", False),
        ("[192.0.2.1]", False),
    ],
)
def test_only_whole_labels_of_listed_domains_are_secure(domain: str, secure: bool) -> None:
    verdict = judge(Domain.parse(domain), own=OWN, entries=REGISTER, now=NOW)
    assert verdict.secure is secure
    assert verdict.because.endswith(".")


def test_an_entry_renewed_elsewhere_counts_although_another_has_expired() -> None:
    entries = [entry("a.nhs.example", DomainMatch.EXACT, days=0), entry("nhs.example", DomainMatch.SUFFIX)]
    assert judge(Domain("a.nhs.example"), own=OWN, entries=entries, now=NOW).secure


# --- revocations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", ["person:7", "app_password:8", "session:9"])
def test_a_revocation_is_heard_as_it_was_said(payload: str) -> None:
    revoked = Revoked.from_payload(payload)
    assert revoked is not None
    assert revoked.payload == payload


@pytest.mark.parametrize("payload", ["", "person", "person:", "person:x", "mail:1", "person:-1", "person:\u0667"])
def test_what_is_no_revocation_is_not_one(payload: str) -> None:
    assert Revoked.from_payload(payload) is None
