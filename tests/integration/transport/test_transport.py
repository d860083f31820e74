"""What becomes of a message when the mail host at the other end obeys, refuses, hangs, lies or breaks off."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.outside_mail import OFFERS, Script, outside_mail
from tests.fakes.ports import free_ports
from tests.fakes.sending_world import PLAIN_DEADLINES, RAW, TRUST, good_tls, sending, table

from carepost.base.address import Domain, EmailAddress
from carepost.delivery.hosts import HostPolicy, Route
from carepost.delivery.model import LeastTls, Outcome, OutEnvelope, OutRecipient, SendResult, VerifiedBy
from carepost.mailauth.resolver import FakeResolver

DELIVERED, FAILED, LATER, INDETERMINATE = Outcome
SHORT = replace(
    PLAIN_DEADLINES, greeting=0.3, hello=0.3, tls=0.3, mail=0.15, recipient=0.15, data=0.3, block=0.3, done=0.3
)


def outcomes(result: SendResult) -> list[Outcome]:
    return [one.outcome for one in result.results]


async def test_a_message_arrives_as_it_was_and_the_evidence_says_how(tmp_path: Path) -> None:
    async with outside_mail(Script(tls=good_tls(tmp_path))) as host:
        result = await sending(host, tmp_path=tmp_path).send("jo@trust.example", "al@trust.example")
    assert outcomes(result) == [DELIVERED, DELIVERED]
    (taken,) = host.taken
    assert taken.content == RAW
    assert taken.mail == f"MAIL FROM:<ann@care.example> SIZE={len(RAW)}"
    assert taken.recipients == ["RCPT TO:<jo@trust.example>", "RCPT TO:<al@trust.example>"]
    assert taken.tls is not None
    evidence = result.evidence
    assert evidence is not None
    assert (evidence.host, evidence.ip) == ("mx1.trust.example", "127.0.0.1")
    assert (evidence.tls_version, evidence.cipher) == taken.tls
    assert evidence.verified_by is VerifiedBy.NOTHING
    assert evidence.reply == "250 taken as 42"
    first = result.results[0]
    assert (first.code, first.enhanced, first.host, first.dsn_passed_on) == (250, "2.0.0", "mx1.trust.example", True)


@pytest.mark.parametrize("offers", [OFFERS, (*OFFERS, "CHUNKING"), ("8BITMIME",), ()], ids=lambda o: "+".join(o)[-30:])
@pytest.mark.parametrize("drip", [False, True])
async def test_whatever_is_offered_the_bytes_arrive(tmp_path: Path, offers: tuple[str, ...], drip: bool) -> None:
    raw = RAW + b"." * 5000 + b"\r\n" + b"\r\n.\r\n" * 30_000
    async with outside_mail(Script(offers=offers, drip=drip)) as host:
        result = await sending(host, tmp_path=tmp_path).send(raw=raw)
    assert outcomes(result) == [DELIVERED]
    assert host.taken[0].content == raw
    assert host.taken[0].verb == ("BDAT" if "CHUNKING" in offers else "DATA")


async def test_each_recipient_is_told_what_the_host_said_of_him(tmp_path: Path) -> None:
    script = Script(
        recipients={
            "gone@trust.example": b"550-5.1.1 No such\r\n550 5.1.1 person\r\n",
            "full@trust.example": b"452 4.2.2 Mailbox full\r\n",
            "many@trust.example": b"552 5.5.3 Too many recipients\r\n",
        }
    )
    async with outside_mail(script) as host:
        result = await sending(host, tmp_path=tmp_path).send(
            "jo@trust.example", "gone@trust.example", "full@trust.example", "many@trust.example"
        )
    assert outcomes(result) == [DELIVERED, FAILED, LATER, LATER]
    _, gone, full, many = result.results
    assert (gone.code, gone.enhanced, gone.reply) == (550, "5.1.1", "550 No such person")
    assert "No such person" in gone.says
    assert (full.code, full.enhanced) == (452, "4.2.2")
    assert (many.code, many.enhanced) == (None, "4.0.0")


@pytest.mark.parametrize(
    ("verb", "reply", "outcome"),
    [
        ("CONNECT", b"554 no service here\r\n", LATER),
        ("CONNECT", b"421 4.3.2 busy\r\n", LATER),
        ("EHLO", b"421 4.3.2 busy\r\n", LATER),
        ("MAIL", b"451 4.7.1 greylisted\r\n", LATER),
        ("MAIL", b"550 5.7.1 not you\r\n", FAILED),
        ("DATA", b"451 4.3.0 later\r\n", LATER),
        ("DATA", b"554 5.7.1 never\r\n", FAILED),
        ("CONTENT", b"451 4.3.0 later\r\n", LATER),
        ("CONTENT", b"554 5.7.1 spam\r\n", FAILED),
        ("CONTENT", b"354 again?\r\n", LATER),
    ],
)
async def test_a_no_is_for_good_or_for_now(tmp_path: Path, verb: str, reply: bytes, outcome: Outcome) -> None:
    async with outside_mail(Script(answers={verb: reply})) as host:
        result = await sending(host, tmp_path=tmp_path).send()
    assert outcomes(result) == [outcome]
    assert reply.split()[-1].decode().strip() in result.results[0].says


async def test_a_yes_where_the_message_was_to_begin_is_no_yes_to_the_message(tmp_path: Path) -> None:
    async with outside_mail(Script(answers={"DATA": b"250 2.0.0 taken\r\n"})) as host:
        result = await sending(host, tmp_path=tmp_path).send()
    assert outcomes(result) == [LATER]


async def test_who_knows_no_ehlo_is_greeted_as_of_old(tmp_path: Path) -> None:
    async with outside_mail(Script(answers={"EHLO": b"500 what?\r\n"})) as host:
        result = await sending(host, tmp_path=tmp_path).send()
    assert host.said("HELO") == ["HELO mail.care.example"]
    assert outcomes(result) == [LATER]  # the script knows no HELO either


# -- hanging and breaking off


@pytest.mark.parametrize("verb", ["CONNECT", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("how", ["hang", "drop"])
async def test_what_breaks_off_before_the_end_was_not_taken(tmp_path: Path, verb: str, how: str) -> None:
    at = frozenset({verb})
    script = Script(
        tls=good_tls(tmp_path),
        hang_at=at if how == "hang" else frozenset(),
        drop_at=at - frozenset() if how == "drop" else frozenset(),
    )
    async with outside_mail(script) as host:
        result = await sending(host, tmp_path=tmp_path, deadlines=SHORT).send("jo@trust.example", "al@trust.example")
    assert outcomes(result) == [LATER, LATER]
    assert host.taken == []
    assert result.evidence is None


@pytest.mark.parametrize("offers", [OFFERS, (*OFFERS, "CHUNKING")], ids=["DATA", "BDAT"])
@pytest.mark.parametrize("how", ["hang", "drop"])
async def test_a_lost_last_answer_is_neither_yes_nor_no(tmp_path: Path, offers: tuple[str, ...], how: str) -> None:
    at = frozenset({"CONTENT"})
    script = Script(
        offers=offers, hang_at=at if how == "hang" else frozenset(), drop_at=at if how == "drop" else frozenset()
    )
    script.recipients = {"gone@trust.example": b"550 5.1.1 nobody\r\n"}
    async with outside_mail(script) as host, outside_mail(Script(), ip="127.0.0.2", port=host.address[1]) as second:
        last = replace(PLAIN_DEADLINES, done=0.3)
        result = await sending(host, second, tmp_path=tmp_path, deadlines=last).send(
            "jo@trust.example", "gone@trust.example"
        )
    assert outcomes(result) == [INDETERMINATE, FAILED]
    assert second.taken == [], "it may have been taken: no other host is tried"
    assert result.evidence is not None
    assert result.evidence.reply == ""
    assert "twice" in result.results[0].says


@pytest.mark.parametrize("offers", [OFFERS, (*OFFERS, "CHUNKING")], ids=["DATA", "BDAT"])
async def test_what_breaks_off_within_the_message_was_not_taken_and_another_host_is_tried(
    tmp_path: Path, offers: tuple[str, ...]
) -> None:
    raw = RAW + b"x" * 998 + b"\r\n"
    raw += (b"y" * 998 + b"\r\n") * 20_000
    script = Script(offers=offers, drop_within_content=100_000)
    async with outside_mail(script) as host, outside_mail(Script(), ip="127.0.0.2", port=host.address[1]) as second:
        result = await sending(host, second, tmp_path=tmp_path).send(raw=raw)
    assert outcomes(result) == [DELIVERED]
    assert host.taken == []
    assert second.taken[0].content == raw
    assert result.evidence is not None
    assert result.evidence.host == "mx2.trust.example"


async def test_a_no_in_the_middle_of_the_message_counts(tmp_path: Path) -> None:
    script = Script(answer_within_content=b"552 5.3.4 too large for us\r\n")
    raw = RAW + (b"y" * 998 + b"\r\n") * 20_000
    async with outside_mail(script) as host:
        result = await sending(host, tmp_path=tmp_path).send(raw=raw)
    # The network may have taken the answer with it: then it is tried again, which is safe too.
    assert outcomes(result)[0] in (FAILED, LATER)
    assert result.results[0].outcome is not DELIVERED


async def test_a_yes_before_the_end_of_the_message_is_not_believed(tmp_path: Path) -> None:
    async with outside_mail(Script(answers={"DATA": b"354 go\r\n250 2.0.0 taken already\r\n"})) as host:
        result = await sending(host, tmp_path=tmp_path).send()
    assert outcomes(result) == [LATER]


@pytest.mark.parametrize(
    "rubbish",
    [
        b"220 one\n",
        b"* PREAUTH hello\r\n",
        b"220 a\r\n250 and an answer to nothing\r\n",
        b"220-" + b"x" * 100_000,
        b"220-x\r\n" * 5000,
        b"220-a\r\n221 b\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    ids=lambda r: repr(r[:16]),
)
async def test_who_does_not_speak_smtp_gets_no_message(tmp_path: Path, rubbish: bytes) -> None:
    async with outside_mail(Script(answers={"CONNECT": rubbish})) as host:
        result = await sending(host, tmp_path=tmp_path).send()
    assert outcomes(result) == [LATER]
    assert host.taken == []
    assert host.said("MAIL") == []


# -- what may not leave, or cannot be taken


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: x\r\n\r\n\n.\r\nMAIL FROM:<x@trust.example>\r\n",
        b"Subject: x\r\n\r\n.\rMAIL\r\n",
        b"Subject: x\n\nbody\n",
        b"Subject: x\r\n\r\nno end",
        b"",
    ],
    ids=repr,
)
async def test_a_message_with_stray_line_ends_never_reaches_the_wire(tmp_path: Path, raw: bytes) -> None:
    async with outside_mail(Script()) as host:
        result = await sending(host, tmp_path=tmp_path).send(raw=raw)
    assert outcomes(result) == [FAILED]
    assert result.results[0].enhanced == "5.6.0"
    assert host.connections == 0


@pytest.mark.parametrize(
    ("offers", "raw", "said", "status"),
    [
        (("SIZE 10",), RAW, {}, "5.3.4"),
        ((), RAW + b"\xc3\xbc\r\n", {}, "5.6.3"),
        (("8BITMIME",), RAW, {"smtputf8": True}, "5.6.7"),
        (OFFERS, RAW, {"require_tls": True}, "5.7.30"),
    ],
)
async def test_what_the_host_cannot_take_goes_back_with_the_reason(
    tmp_path: Path, offers: tuple[str, ...], raw: bytes, said: dict[str, object], status: str
) -> None:
    async with outside_mail(Script(offers=offers, tls=good_tls(tmp_path))) as host:
        result = await sending(host, tmp_path=tmp_path).send(raw=raw, **said)
    assert outcomes(result) == [FAILED]
    assert result.results[0].enhanced == status
    assert host.said("MAIL") == []


async def test_addresses_beyond_ascii_are_said_where_they_are_understood(tmp_path: Path) -> None:
    async with outside_mail(Script()) as host:
        result = await sending(host, tmp_path=tmp_path).send("j\u00f6rg@trust.example", smtputf8=True)
        refused = await sending(host, tmp_path=tmp_path).send("j\u00f6rg@trust.example")
    assert outcomes(result) == [DELIVERED]
    assert host.taken[0].recipients == ["RCPT TO:<j\u00f6rg@trust.example>"]
    assert "SMTPUTF8" in host.taken[0].mail
    assert outcomes(refused) == [FAILED]


async def test_what_the_sender_wants_to_know_is_passed_on_where_that_is_offered(tmp_path: Path) -> None:
    envelope = OutEnvelope(
        None,
        (OutRecipient(EmailAddress.parse("jo@trust.example"), frozenset({"SUCCESS"}), "rfc822;jo@old.example"),),
        envid="id 1",
        ret="HDRS",
    )
    async with outside_mail(Script()) as host:
        await sending(host, tmp_path=tmp_path).transport.send(TRUST, envelope, RAW, LeastTls.OPPORTUNISTIC)
    assert host.taken[0].mail == f"MAIL FROM:<> SIZE={len(RAW)} RET=HDRS ENVID=id+201"
    assert host.taken[0].recipients == ["RCPT TO:<jo@trust.example> NOTIFY=SUCCESS ORCPT=rfc822;jo@old.example"]
    async with outside_mail(Script(offers=("PIPELINING",))) as host:
        result = await sending(host, tmp_path=tmp_path).transport.send(TRUST, envelope, RAW, LeastTls.OPPORTUNISTIC)
    assert host.taken[0].mail == "MAIL FROM:<>"
    assert not result.results[0].dsn_passed_on


async def test_many_recipients_go_in_several_transactions_of_one_conversation(tmp_path: Path) -> None:
    people = [f"p{n}@trust.example" for n in range(25)]
    async with outside_mail(Script(recipients={"p3@trust.example": b"550 5.1.1 no\r\n"})) as host:
        result = await sending(host, tmp_path=tmp_path, recipients_max=10).send(*people)
    assert [len(one.recipients) for one in host.taken] == [9, 10, 5]
    assert host.connections == 1
    assert outcomes(result).count(DELIVERED) == 24
    assert result.results[3].outcome is FAILED


# -- hosts


async def test_the_next_host_is_tried_when_the_first_is_not_there(tmp_path: Path) -> None:
    [port] = free_ports(1)
    async with outside_mail(Script(), ip="127.0.0.2", port=port) as second:
        result = await sending(("127.0.0.1", port), second, tmp_path=tmp_path).send()
    assert outcomes(result) == [DELIVERED]
    assert len(second.taken) == 1


async def test_who_was_refused_for_good_by_one_host_is_not_tried_at_another(tmp_path: Path) -> None:
    script = Script(recipients={"gone@trust.example": b"550 no\r\n", "full@trust.example": b"452 full\r\n"})
    async with outside_mail(script) as host, outside_mail(Script(), ip="127.0.0.2", port=host.address[1]) as second:
        result = await sending(host, second, tmp_path=tmp_path).send(
            "jo@trust.example", "gone@trust.example", "full@trust.example"
        )
    assert outcomes(result) == [DELIVERED, FAILED, DELIVERED]
    assert second.taken[0].recipients == ["RCPT TO:<full@trust.example>"]


@pytest.mark.parametrize(
    ("resolver", "outcome", "status"),
    [
        (FakeResolver(), FAILED, "5.1.2"),
        (FakeResolver(mx={"trust.example": [(0, "")]}), FAILED, "5.1.10"),
        (FakeResolver(mx={"trust.example": [(10, "gone.example")]}), FAILED, "5.4.4"),
        (FakeResolver(mx={"trust.example": [(10, "a\\010..b"), (20, "x" * 70 + ".example")]}), FAILED, "5.4.4"),
        (FakeResolver(txt={"trust.example": ["x"]}), FAILED, "5.4.4"),
        (FakeResolver(mx={"trust.example": [(10, "mail.care.example")]}), FAILED, "5.4.6"),
        (FakeResolver(fails={("mx", "trust.example")}), LATER, "4.4.3"),
        (
            FakeResolver(
                mx={"trust.example": [(10, "mx.example")]}, fails={("a", "mx.example"), ("aaaa", "mx.example")}
            ),
            LATER,
            "4.4.3",
        ),
    ],
    ids=["no domain", "null MX", "no such host", "no names", "no host at all", "ourselves", "no answer", "no address"],
)
async def test_where_there_is_no_host_the_result_says_why(
    tmp_path: Path, resolver: FakeResolver, outcome: Outcome, status: str
) -> None:
    result = await sending(resolver=resolver, tmp_path=tmp_path).send()
    assert outcomes(result) == [outcome]
    assert result.results[0].enhanced == status


async def test_what_is_no_name_among_the_hosts_is_passed_over(tmp_path: Path) -> None:
    async with outside_mail(Script(tls=good_tls(tmp_path))) as host:
        names = [(10, "*." + "x" * 70), (20, ""), (30, "mx1.trust.example")]
        resolver = FakeResolver(mx={"trust.example": names}, a={"mx1.trust.example": ["127.0.0.1"]})
        assert outcomes(await sending(host, resolver=resolver, tmp_path=tmp_path).send()) == [DELIVERED]


async def test_without_an_mx_record_the_domain_itself_is_the_host(tmp_path: Path) -> None:
    async with outside_mail(Script()) as host:
        world = sending(host, resolver=FakeResolver(a={"trust.example": ["127.0.0.1"]}), tmp_path=tmp_path)
        assert outcomes(await world.send()) == [DELIVERED]


async def test_a_host_that_is_no_better_than_ourselves_is_left_out(tmp_path: Path) -> None:
    resolver = FakeResolver(
        mx={
            "trust.example": [
                (10, "best.example"),
                (20, "mail.care.example"),
                (20, "equal.example"),
                (30, "last.example"),
            ]
        },
        a={name: ["127.0.0.1"] for name in ("best.example", "equal.example", "last.example")},
    )
    proof = await sending(resolver=resolver, tmp_path=tmp_path).transport.proofs.of(TRUST)
    assert [one.host.name for one in proof.hosts] == ["best.example"]


async def test_nobody_leads_us_to_our_own_machine(tmp_path: Path) -> None:
    async with outside_mail(Script()) as host:
        world = sending(host, tmp_path=tmp_path)
        strict = replace(world.transport.policy.hosts, never=HostPolicy().never)
        transport = replace(world.transport, policy=replace(world.transport.policy, hosts=strict))
        result = await replace(world, transport=transport).send()
    assert outcomes(result) == [LATER]
    assert result.results[0].enhanced == "4.4.4"
    assert host.connections == 0


async def test_hosts_that_say_later_are_not_asked_without_end(tmp_path: Path) -> None:
    async with outside_mail(Script(answers={"MAIL": b"451 later\r\n"})) as host:
        resolver = table([host.address] * 9)
        result = await sending(host, resolver=resolver, tmp_path=tmp_path, conversations_max=2).send()
    assert outcomes(result) == [LATER]
    assert host.connections == 2


async def test_the_whole_attempt_has_an_end(tmp_path: Path) -> None:
    slow = replace(PLAIN_DEADLINES, attempt=1.5)
    async with outside_mail(Script(hang_at=frozenset({"CONNECT"}))) as host:
        result = await sending(host, resolver=table([host.address] * 5), tmp_path=tmp_path, deadlines=slow).send()
    assert outcomes(result) == [LATER]
    assert host.connections == 1


async def test_an_operators_route_goes_before_mx_records(tmp_path: Path) -> None:
    async with outside_mail(Script()) as host:
        routes = {"trust.example": Route("127.0.0.1", host.address[1])}
        world = sending(("127.0.0.9", 1), tmp_path=tmp_path, routes=routes)
        assert outcomes(await world.send()) == [DELIVERED]


async def test_a_domain_may_be_an_address(tmp_path: Path) -> None:
    async with outside_mail(Script()) as host:
        result = await sending(host, tmp_path=tmp_path).send("jo@[127.0.0.1]", domain=Domain("[127.0.0.1]"))
    assert outcomes(result) == [DELIVERED]
