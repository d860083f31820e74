"""SPF beyond the public suite: limits, trouble, what a stranger might publish, what the trace page is told."""

from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost.mailauth.resolver import FakeResolver
from carepost.mailauth.spf import SpfLimits, SpfResult, SpfStatus, check_spf

SENDER = "192.0.2.7"


async def check(
    resolver: FakeResolver, *, ip: str = SENDER, domain: str = "example.org", local: str = "jo"
) -> SpfResult:
    return await check_spf(
        resolver, ip=ip_address(ip), mail_from_domain=domain, mail_from_local=local, helo="mail.example.org"
    )


def publishing(record: str, **more: object) -> FakeResolver:
    return FakeResolver(txt={"example.org": [record]}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "status", "mechanism"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", SpfStatus.PASS, "ip4:192.0.2.0/24"),
        ("v=spf1 ip4:198.51.100.1 -all", SpfStatus.FAIL, "-all"),
        ("v=spf1 ~all", SpfStatus.SOFTFAIL, "~all"),
        ("v=spf1 ?all", SpfStatus.NEUTRAL, "?all"),
        ("v=spf1", SpfStatus.NEUTRAL, ""),
        ("v=spf1 ip4:192.0.2.256 -all", SpfStatus.PERMERROR, ""),
        ("v=spf1 ip4:192.0.2.7 nonsense", SpfStatus.PERMERROR, ""),
        ("v=spf10 -all", SpfStatus.NONE, ""),
    ],
)
async def test_the_result_names_the_term_that_decided(record: str, status: SpfStatus, mechanism: str) -> None:
    result = await check(publishing(record))
    assert (result.status, result.mechanism) == (status, mechanism)


async def test_the_null_sender_is_judged_by_the_name_in_helo() -> None:
    resolver = FakeResolver(txt={"mail.example.org": ["v=spf1 ip4:192.0.2.7 -all"]})
    result = await check(resolver, domain="", local="")
    assert (result.status, result.helo, result.domain) == (SpfStatus.PASS, True, "mail.example.org")


async def test_a_silent_name_server_is_never_none_and_never_fail() -> None:
    assert (await check(FakeResolver(fails={"example.org"}))).status is SpfStatus.TEMPERROR
    inner = publishing("v=spf1 include:slow.example -all", fails={"slow.example"})
    assert (await check(inner)).status is SpfStatus.TEMPERROR
    host = publishing("v=spf1 a:slow.example -all", fails={"slow.example"})
    assert (await check(host)).status is SpfStatus.TEMPERROR


async def test_a_name_that_does_not_exist_is_none() -> None:
    assert (await check(FakeResolver())).status is SpfStatus.NONE


async def test_a_chain_of_includes_that_never_ends_is_cut_at_ten() -> None:
    resolver = publishing("v=spf1 include:example.org -all")
    result = await check(resolver)
    assert result.status is SpfStatus.PERMERROR
    assert len(resolver.asked) == 11


async def test_the_eleventh_look_up_counts_across_includes_and_redirects() -> None:
    def world(count: int) -> FakeResolver:
        five = " ".join(f"a:h{n}.example.org" for n in range(5))
        rest = " ".join(f"a:h{n}.example.org" for n in range(count))
        hosts = {f"h{n}.example.org": ["203.0.113.1"] for n in range(10)}
        return FakeResolver(
            txt={
                "example.org": ["v=spf1 include:in.example.org redirect=end.example.org"],
                "in.example.org": [f"v=spf1 {five} -all"],
                "end.example.org": [f"v=spf1 {rest} ip4:192.0.2.7 -all"],
            },
            a=hosts,
        )

    assert (await check(world(3))).status is SpfStatus.PASS  # include, 5, redirect, 3
    assert (await check(world(4))).status is SpfStatus.PERMERROR


async def test_the_third_look_up_that_finds_nothing_ends_the_check() -> None:
    two = "v=spf1 a:no1.example.org a:no2.example.org ip4:192.0.2.7 -all"
    three = "v=spf1 a:no1.example.org a:no2.example.org a:no3.example.org ip4:192.0.2.7 -all"
    assert (await check(publishing(two))).status is SpfStatus.PASS
    assert (await check(publishing(three))).status is SpfStatus.PERMERROR


async def test_macros_in_the_middle_of_real_records_work() -> None:
    resolver = publishing("v=spf1 exists:%{ir}._spf.%{d2} -all", a={"7.2.0.192._spf.example.org": ["127.0.0.2"]})
    assert (await check(resolver)).status is SpfStatus.PASS
    assert (await check(resolver, ip="192.0.2.8")).status is SpfStatus.FAIL


async def test_a_local_part_beyond_ascii_matches_no_macro_and_breaks_nothing() -> None:
    resolver = publishing("v=spf1 exists:%{l}.users.example.org -all", a={"jo.users.example.org": ["127.0.0.2"]})
    assert (await check(resolver)).status is SpfStatus.PASS
    assert (await check(resolver, local="jö")).status is SpfStatus.FAIL


async def test_a_u_label_domain_is_looked_up_as_its_a_label() -> None:
    resolver = FakeResolver(txt={"xn--bcher-kva.example": ["v=spf1 ip4:192.0.2.7 -all"]})
    result = await check(resolver, domain="bücher.example")
    assert (result.status, result.domain) == (SpfStatus.PASS, "xn--bcher-kva.example")


async def test_an_explanation_is_plain_short_text_and_only_for_a_fail() -> None:
    words = "%{i} may not send for %{o}; asked by %{r} at %{t}"
    resolver = FakeResolver(
        txt={"example.org": ["v=spf1 exp=why.example.org -all"], "why.example.org": [words + " x" * 900]}
    )
    result = await check_spf(
        resolver,
        ip=ip_address(SENDER),
        mail_from_domain="example.org",
        helo="h.example",
        receiver="mx.care.example",
        now=datetime(2026, 1, 1, tzinfo=UTC),
        limits=SpfLimits(explanation_max=90),
    )
    assert result.explanation.startswith(
        "192.0.2.7 may not send for example.org; asked by mx.care.example at 1767225600"
    )
    assert len(result.explanation) == 90


async def test_ptr_is_followed_for_ten_names_and_trouble_there_is_no_match() -> None:
    names = [f"n{n}.other.example" for n in range(10)] + ["mail.example.org"]
    resolver = publishing("v=spf1 ptr -all", ptr={SENDER: names}, a={"mail.example.org": [SENDER]})
    assert (await check(resolver)).status is SpfStatus.FAIL
    good = publishing("v=spf1 ptr -all", ptr={SENDER: names[9:]}, a={"mail.example.org": [SENDER]})
    assert (await check(good)).status is SpfStatus.PASS
    silent = publishing("v=spf1 ptr ~all", fails={SENDER})
    assert (await check(silent)).status is SpfStatus.SOFTFAIL


async def test_eleven_mail_exchangers_are_too_many() -> None:
    hosts = [(n, f"mx{n}.example.org") for n in range(11)]
    ips = {host: ["203.0.113.1"] for _, host in hosts}
    assert (await check(publishing("v=spf1 mx -all", mx={"example.org": hosts}, a=ips))).status is SpfStatus.PERMERROR
    assert (await check(publishing("v=spf1 mx -all", mx={"example.org": hosts[:10]}, a=ips))).status is SpfStatus.FAIL


@pytest.mark.parametrize(
    "domain",
    [
        "a\x00.example",
        "x'y.example",
        "(a.example",
        "a b.example",
        "a" * 300,
        "\ud800.example",
        "[192.0.2.1]",
        "localhost",
    ],
)
async def test_a_sender_domain_that_is_none_ends_in_none(domain: str) -> None:
    assert (await check(FakeResolver(), domain=domain)).status is SpfStatus.NONE


_TERMS = st.sampled_from(
    [
        "all",
        "-all",
        "a",
        "mx",
        "ptr",
        "a:%{d}",
        "include:example.org",
        "include:b.example.org",
        "exists:%{i}.x.example",
        "redirect=b.example.org",
        "exp=b.example.org",
        "ip4:192.0.2.0/24",
        "ip6:2001:db8::/32",
        "a//64",
        "mx/0",
        "?mx:%{p}",
        "exists:%{lr-}.%{S}.example.org",
        "x=%{",
        "a/33",
        "%%",
        "exists:%{d99r.-+,/_=}",
        "a:",
        ":",
        "=",
        "",
        "v=spf1",
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    one=st.lists(_TERMS, max_size=12), two=st.lists(_TERMS, max_size=12), ip=st.sampled_from([SENDER, "2001:db8::1"])
)
async def test_no_combination_of_terms_raises_or_asks_without_end(one: list[str], two: list[str], ip: str) -> None:
    resolver = FakeResolver(
        txt={"example.org": ["v=spf1 " + " ".join(one)], "b.example.org": ["v=spf1 " + " ".join(two)]},
        mx={"example.org": [(0, "example.org"), (1, "")]},
        ptr={SENDER: ["example.org"] * 20},
    )
    result = await check(resolver, ip=ip)
    assert result.status in SpfStatus
    assert len(resolver.asked) < 150


@settings(max_examples=400, deadline=None)
@given(
    record=st.binary(max_size=200), local=st.text(max_size=20), helo=st.text(max_size=40), domain=st.text(max_size=40)
)
async def test_no_record_and_no_sender_whatever_its_bytes_raises(
    record: bytes, local: str, helo: str, domain: str
) -> None:
    resolver = FakeResolver(txt={"example.org": [b"v=spf1 " + record]})
    result = await check_spf(
        resolver, ip=ip_address(SENDER), mail_from_domain="example.org", mail_from_local=local, helo=helo
    )
    assert result.status in SpfStatus
    other = await check_spf(resolver, ip=ip_address(SENDER), mail_from_domain=domain, mail_from_local=local, helo=helo)
    assert other.status is not SpfStatus.PASS


async def test_a_long_record_of_hostile_macros_costs_little() -> None:
    record = "v=spf1 " + "exists:" + "%{s" * 300 + " " + "a:" + "%{d}" * 1500 + ".example -all"
    assert (await check(publishing(record))).status is SpfStatus.PERMERROR
    grown = "v=spf1 exists:" + "%{S}" * 1900 + ".example -all"
    result = await check(publishing(grown), local="x" * 64)
    assert result.status is SpfStatus.FAIL, "the name loses labels until it fits, and does not exist"
