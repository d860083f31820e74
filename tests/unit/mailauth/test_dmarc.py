"""DMARC: which policy is found, who is aligned with whom, and that doubt is never a pass."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost.mailauth.dkim import DkimResult, DkimStatus
from carepost.mailauth.dmarc import DmarcPolicy, DmarcResult, DmarcStatus, check_dmarc, is_aligned
from carepost.mailauth.resolver import FakeResolver
from carepost.mailauth.spf import SpfResult, SpfStatus
from carepost.mailauth.suffixes import organisational_domain


def spf(domain: str, status: SpfStatus = SpfStatus.PASS) -> SpfResult:
    return SpfResult(status, domain)


def dkim(domain: str, status: DkimStatus = DkimStatus.PASS, *, partial_body: bool = False) -> DkimResult:
    return DkimResult(status=status, domain=domain, partial_body=partial_body)


def publishing(records: dict[str, str | list[str]], **more: object) -> FakeResolver:
    txt = {f"_dmarc.{name}": [text] if isinstance(text, str) else text for name, text in records.items()}
    return FakeResolver(txt=txt, **more)  # type: ignore[arg-type]


async def judge(
    resolver: FakeResolver,
    author: str = "trust.nhs.uk",
    *,
    by: SpfResult | None = None,
    signed: tuple[DkimResult, ...] = (),
) -> DmarcResult:
    return await check_dmarc(resolver, from_domains=[author], spf=by, dkim=signed)


REJECT = "v=DMARC1; p=reject"


@pytest.mark.parametrize(
    ("author", "authenticated", "relaxed", "strict"),
    [
        ("trust.nhs.uk", "trust.nhs.uk", True, True),
        ("Trust.NHS.uk", "trust.nhs.uk", True, True),
        ("mail.trust.nhs.uk", "trust.nhs.uk", True, False),
        ("trust.nhs.uk", "bounce.trust.nhs.uk", True, False),
        ("trust.nhs.uk", "other.nhs.uk", False, False),
        ("trust.nhs.uk", "nhs.uk", False, False),
        ("nhs.uk", "nhs.uk", True, True),
        ("trust.nhs.uk", "eviltrust.nhs.uk", False, False),
        ("practice.scot.nhs.uk", "other.scot.nhs.uk", True, False),
        ("one.co.uk", "two.co.uk", False, False),
        ("one.github.io", "two.github.io", False, False),
        ("", "", False, False),
        ("trust.nhs.uk", "", False, False),
    ],
)
def test_alignment_is_by_organisation_and_two_trusts_are_two(
    author: str, authenticated: str, *, relaxed: bool, strict: bool
) -> None:
    assert is_aligned(author, authenticated, strict=False) is relaxed
    assert is_aligned(author, authenticated, strict=True) is strict


def test_nhs_uk_is_a_public_suffix() -> None:
    assert organisational_domain("nhs.uk") is None
    assert organisational_domain("a.b.trust.nhs.uk") == "trust.nhs.uk"
    assert organisational_domain("board.scot.nhs.uk") == "scot.nhs.uk", "the list knows no suffix below nhs.uk"


async def test_spf_or_dkim_alone_is_enough_and_both_are_named() -> None:
    resolver = publishing({"trust.nhs.uk": REJECT})
    only_spf = await judge(resolver, by=spf("bounce.trust.nhs.uk"))
    assert (only_spf.status, only_spf.aligned_by) == (DmarcStatus.PASS, ("spf",))
    only_dkim = await judge(resolver, by=spf("relay.example"), signed=(dkim("x.example"), dkim("trust.nhs.uk")))
    assert (only_dkim.status, only_dkim.aligned_by) == (DmarcStatus.PASS, ("dkim",))
    both = await judge(resolver, by=spf("trust.nhs.uk"), signed=(dkim("trust.nhs.uk"),))
    assert both.aligned_by == ("spf", "dkim")


async def test_a_pass_for_somebody_else_is_a_fail_with_the_authors_policy() -> None:
    resolver = publishing({"trust.nhs.uk": REJECT})
    result = await judge(resolver, by=spf("evil.example"), signed=(dkim("evil.example"), dkim("other.nhs.uk")))
    assert (result.status, result.policy, result.domain) == (DmarcStatus.FAIL, DmarcPolicy.REJECT, "trust.nhs.uk")


@pytest.mark.parametrize("status", [s for s in SpfStatus if s not in (SpfStatus.PASS, SpfStatus.TEMPERROR)])
async def test_no_spf_result_but_pass_counts(status: SpfStatus) -> None:
    resolver = publishing({"trust.nhs.uk": REJECT})
    assert (await judge(resolver, by=spf("trust.nhs.uk", status))).status is DmarcStatus.FAIL


async def test_a_signature_that_leaves_part_of_the_body_open_speaks_for_nobody() -> None:
    resolver = publishing({"trust.nhs.uk": REJECT})
    result = await judge(resolver, signed=(dkim("trust.nhs.uk", partial_body=True),))
    assert result.status is DmarcStatus.FAIL


async def test_strict_alignment_is_asked_for_by_the_author() -> None:
    resolver = publishing({"trust.nhs.uk": "v=DMARC1; p=reject; aspf=s; adkim=s"})
    loose = await judge(resolver, by=spf("m.trust.nhs.uk"), signed=(dkim("m.trust.nhs.uk"),))
    assert loose.status is DmarcStatus.FAIL
    assert (await judge(resolver, by=spf("trust.nhs.uk"))).status is DmarcStatus.PASS


async def test_trouble_is_kept_apart_where_it_could_have_made_the_difference() -> None:
    resolver = publishing({"trust.nhs.uk": REJECT})
    assert (await judge(resolver, by=spf("trust.nhs.uk", SpfStatus.TEMPERROR))).status is DmarcStatus.TEMPERROR
    key = dkim("trust.nhs.uk", DkimStatus.TEMPERROR)
    assert (await judge(resolver, signed=(key,))).status is DmarcStatus.TEMPERROR
    assert (await judge(resolver, by=spf("trust.nhs.uk"), signed=(key,))).status is DmarcStatus.PASS
    foreign = dkim("evil.example", DkimStatus.TEMPERROR)
    assert (await judge(resolver, signed=(foreign,))).status is DmarcStatus.FAIL
    silent = FakeResolver(fails={"_dmarc.trust.nhs.uk"})
    assert (await judge(silent, by=spf("trust.nhs.uk"))).status is DmarcStatus.TEMPERROR


async def test_the_organisations_policy_covers_what_is_below_it() -> None:
    resolver = publishing({"trust.nhs.uk": "v=DMARC1; p=reject; sp=quarantine"})
    assert (await judge(resolver)).policy is DmarcPolicy.REJECT
    below = await judge(resolver, "ward.trust.nhs.uk")
    assert (below.policy, below.domain) == (DmarcPolicy.QUARANTINE, "trust.nhs.uk")
    own = publishing({"trust.nhs.uk": REJECT, "ward.trust.nhs.uk": "v=DMARC1; p=none"})
    assert (await judge(own, "ward.trust.nhs.uk")).policy is DmarcPolicy.NONE


async def test_no_policy_is_taken_from_a_public_suffix() -> None:
    resolver = publishing({"nhs.uk": REJECT})
    result = await judge(resolver)
    assert result.status is DmarcStatus.NONE
    assert resolver.asked == [("txt", "_dmarc.trust.nhs.uk")]


async def test_np_is_for_names_below_that_do_not_exist() -> None:
    record = "v=DMARC1; p=none; sp=quarantine; np=reject"
    resolver = publishing(
        {"trust.nhs.uk": record}, a={"real.trust.nhs.uk": ["192.0.2.1"]}, mx={"mx.trust.nhs.uk": [(0, "m")]}
    )
    assert (await judge(resolver, "real.trust.nhs.uk")).policy is DmarcPolicy.QUARANTINE
    assert (await judge(resolver, "mx.trust.nhs.uk")).policy is DmarcPolicy.QUARANTINE
    assert (await judge(resolver, "made-up.trust.nhs.uk")).policy is DmarcPolicy.REJECT
    silent = publishing({"trust.nhs.uk": record}, fails={("a", "x.trust.nhs.uk")})
    assert (await judge(silent, "x.trust.nhs.uk")).status is DmarcStatus.TEMPERROR


@pytest.mark.parametrize(
    ("record", "status", "policy"),
    [
        (REJECT, "fail", "reject"),
        ("v=DMARC1;p=quarantine", "fail", "quarantine"),
        (" v = DMARC1 ; p = reject ; ", "fail", "reject"),
        ("v=DMARC1; p=REJECT", "fail", "reject"),
        ("v=DMARC1; p=reject; pct=0", "fail", "reject"),
        ("v=DMARC1; p=reject; t=y", "fail", "quarantine"),
        ("v=DMARC1; p=quarantine; t=y", "fail", "none"),
        ("v=DMARC1; p=reject; junk; =; x=y=z; fo=9", "fail", "reject"),
        ("v=DMARC1; p=reject; p=none", "fail", "reject"),
        ("v=DMARC1; rua=mailto:d@trust.nhs.uk", "fail", "none"),
        ("v=DMARC1; p=nonsense; rua=mailto:d@trust.nhs.uk", "fail", "none"),
        ("v=DMARC1; p=reject; sp=nonsense; rua=mailto:d@trust.nhs.uk", "fail", "none"),
        ("v=DMARC1; p=nonsense", "permerror", "none"),
        ("v=DMARC1", "permerror", "none"),
        ("v=DMARC1; p=reject; sp=nonsense; rua=https://x.example", "permerror", "none"),
        ("v=DMARC1; p=reject; n=" + "x" * 5000, "permerror", "none"),
        ("v=dmarc1; p=reject", "none", "none"),
        ("v=DMARC2; p=reject", "none", "none"),
        ("p=reject; v=DMARC1", "none", "none"),
        ("v=spf1 -all", "none", "none"),
        (["v=spf1 -all", REJECT], "fail", "reject"),
        ([REJECT, REJECT], "none", "none"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_each_record_is_read_as_the_rfc_says(record: str | list[str], status: str, policy: str) -> None:
    result = await judge(publishing({"trust.nhs.uk": record}))
    assert (result.status.value, result.policy.value) == (status, policy)


async def test_two_authors_fail_whoever_is_authenticated_under_the_strictest_policy() -> None:
    resolver = publishing({"trust.nhs.uk": "v=DMARC1; p=quarantine", "other.nhs.uk": REJECT})
    for authors in (
        ["trust.nhs.uk", "other.nhs.uk"],
        ["other.nhs.uk", "other.nhs.uk"],
        ["x.example", "other.nhs.uk", "\ud800"],
    ):
        result = await check_dmarc(resolver, from_domains=authors, spf=spf("other.nhs.uk"), dkim=[dkim("other.nhs.uk")])
        assert (result.status, result.policy, result.author_unclear) == (DmarcStatus.FAIL, DmarcPolicy.REJECT, True)


@pytest.mark.parametrize("authors", [[], [""], ["not a domain"], ["a\x00.example"], ["\ud800"]])
async def test_no_author_or_one_that_is_none_fails(authors: list[str]) -> None:
    result = await check_dmarc(FakeResolver(), from_domains=authors, spf=spf("x.example"), dkim=[])
    assert result.status is DmarcStatus.FAIL
    assert result.author_unclear


async def test_without_a_policy_alignment_is_still_told() -> None:
    result = await judge(FakeResolver(), by=spf("trust.nhs.uk"))
    assert (result.status, result.aligned_by) == (DmarcStatus.NONE, ("spf",))


async def test_a_mail_of_which_nobody_knows_who_connected_rests_on_its_signature() -> None:
    resolver = publishing({"trust.nhs.uk": REJECT})
    assert (await judge(resolver, by=None, signed=(dkim("trust.nhs.uk"),))).status is DmarcStatus.PASS
    assert (await judge(resolver, by=None)).status is DmarcStatus.FAIL


@settings(max_examples=300, deadline=None)
@given(record=st.binary(max_size=120), author=st.text(max_size=30))
async def test_no_record_and_no_author_whatever_its_bytes_raises_or_passes(record: bytes, author: str) -> None:
    resolver = FakeResolver(txt={"_dmarc.trust.nhs.uk": [b"v=DMARC1;" + record]})
    for name in (author, "trust.nhs.uk"):
        assert (await judge(resolver, name, by=spf("evil.example"))).status is not DmarcStatus.PASS
