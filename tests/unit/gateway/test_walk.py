"""Examine and decide, whole: what a message is and what happens to it."""

import asyncio
import base64

import pytest
from tests.fakes.gateway import FakeScanner, checks, codes, examination, judged, letter, recipient, with_files

from carepost.gateway.checks.authentication import AuthenticationPolicy
from carepost.gateway.checks.everything import CheckPolicy
from carepost.gateway.checks.malware import EICAR
from carepost.gateway.decide import plain_facts, rule
from carepost.gateway.examine import ExamineLimits, examine
from carepost.gateway.facts import must_wait, shared_facts
from carepost.gateway.model import Check, Examination, Finding, Via
from carepost.infra.clamd import ScannerUnavailable
from carepost.mailauth.resolver import Answer, FakeResolver
from carepost.policy.actions import Action
from carepost.policy.card import read_deck
from carepost.policy.inbound import INBOUND


async def test_a_stranger_s_letter_is_delivered_with_a_warning() -> None:
    ruling, _ = await judged(examination(letter()))
    assert (ruling.gravest.action, ruling.gravest.decision.card) == (Action.WARN, "from-outside")
    assert ruling.facts.sender_proved is True


async def test_a_letter_from_the_register_is_delivered_plainly() -> None:
    seen = examination(letter(author="ward@trust.example"), sender="ward@trust.example", client="192.0.2.10")
    ruling, found = await judged(seen)
    assert (ruling.gravest.action, ruling.gravest.decision.card) == (Action.DELIVER, "secure-sender")
    assert "on-register" in codes(found)


async def test_the_register_counts_only_for_who_is_proved() -> None:
    seen = examination(letter(author="ward@council.example"), sender="ward@council.example", client="192.0.2.99")
    ruling, _ = await judged(seen)
    assert ruling.gravest.decision.card == "from-outside"


async def test_a_spoof_of_our_own_domain_is_refused() -> None:
    seen = examination(letter(author="Boss <boss@riverside.example>"), client="192.0.2.99")
    ruling, _ = await judged(seen)
    assert (ruling.gravest.action, ruling.gravest.decision.card) == (Action.REFUSE, "own-domain-spoof")
    assert ruling.is_refused


async def test_a_return_address_of_ours_from_a_stranger_is_a_spoof_too() -> None:
    ruling, _ = await judged(examination(letter(author="x@nowhere.example"), sender="boss@sub.riverside.example"))
    assert ruling.gravest.decision.card == "own-domain-spoof"


async def test_a_supplier_who_is_allowed_to_send_for_us_is_not_a_spoof() -> None:
    seen = examination(
        letter(author="no-reply@riverside.example"), sender="no-reply@riverside.example", client="192.0.2.20"
    )
    ruling, _ = await judged(seen)
    assert ruling.gravest.action is Action.DELIVER


@pytest.mark.parametrize(
    ("domain", "action", "card"),
    [("bank.example", Action.HOLD, "rejected-by-domain"), ("shop.example", Action.JUNK, "distrusted-by-domain")],
)
async def test_what_a_domain_asks_for_is_done(domain: str, action: Action, card: str) -> None:
    ruling, _ = await judged(examination(letter(author=f"news@{domain}"), client="192.0.2.99"))
    assert (ruling.gravest.action, ruling.gravest.decision.card) == (action, card)


async def test_a_silent_name_server_makes_the_sender_try_later() -> None:
    _, found = await judged(examination(letter(author="a@slow.example"), sender="a@slow.example"))
    waiting = must_wait(found)
    assert waiting is not None
    assert waiting.code == "authentication-unavailable"


async def test_a_name_server_that_never_answers_makes_the_sender_try_later() -> None:
    class Silent(FakeResolver):
        async def txt(self, name: str) -> Answer[bytes]:
            await asyncio.sleep(60)
            raise AssertionError

    policy = CheckPolicy(authentication=AuthenticationPolicy(seconds=0.01))  # meant to run out
    _, found = await judged(examination(letter()), among=checks(resolver=Silent(), policy=policy))
    waiting = must_wait(found)
    assert waiting is not None
    assert waiting.code == "authentication-unavailable"


async def test_a_scanner_that_does_not_answer_makes_the_sender_try_later() -> None:
    _, found = await judged(examination(letter()), scanner=FakeScanner(fails=ScannerUnavailable("no")))
    waiting = must_wait(found)
    assert waiting is not None
    assert waiting.code == "scanner-unavailable"


async def test_a_scanner_that_cannot_take_so_much_leads_to_quarantine() -> None:
    ruling, _ = await judged(examination(letter("x" * 5_000)), scanner=FakeScanner(too_large=1_000))
    assert ruling.gravest.decision.card == "not-scanned"


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("Win.Test-1", "malware"),
        ("Heuristics.Encrypted.Zip", "locked-archive"),
        ("Heuristics.Limits.Exceeded.MaxFiles", "not-scanned"),
        ("Heuristics.OLE2.ContainsMacros.VBA", "macros"),
        ("Heuristics.Phishing.Email.SpoofedDomain", "phishing"),
    ],
)
async def test_what_the_scanner_says_is_believed_by_kind(name: str, card: str) -> None:
    ruling, _ = await judged(examination(letter("BAD")), scanner=FakeScanner(marks={b"BAD": name}))
    assert ruling.gravest.decision.card == card


async def test_a_large_attachment_goes_to_the_scanner_as_the_file_it_is_beside_the_rest_of_the_message() -> None:
    file, scanner = b"%PDF-1.7\n" + bytes(range(256)) * 100, FakeScanner()
    seen = examination(with_files(("a.pdf", file)))
    await judged(seen, scanner=scanner)
    rest, decoded = scanner.scanned
    letters = base64.encodebytes(file).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
    assert decoded == file
    assert rest == seen.raw.replace(letters, b"")


async def test_an_ordinary_message_goes_to_the_scanner_once_and_an_odd_one_in_every_reading() -> None:
    plain, odd = FakeScanner(), FakeScanner()
    await judged(examination(with_files(("a.pdf", b"%PDF-1.7\n" + b"x" * 300))), scanner=plain)
    twice = with_files(("a.pdf", b"%PDF-1.7\n" + b"x" * 300)).replace(b"octet-stream;", b"octet-stream; name=b;")
    await judged(examination(twice), scanner=odd)
    assert len(plain.scanned) == 1
    assert len(odd.scanned) > 1


async def test_a_check_that_fails_becomes_a_finding_and_the_message_is_held() -> None:
    async def breaks(_: Examination) -> list[Finding]:
        raise RuntimeError("secret words of the message")

    for name in ("malware", "structure", "register", "identity", "attachments", "archives"):
        among = [check for check in checks() if check.name != name] + [Check(name, breaks)]
        ruling, found = await judged(examination(letter()), among=among)
        failure = next(finding for finding in found if finding.code == "check-failed")
        assert name in failure.says
        assert "secret" not in failure.says
        assert ruling.gravest.action is Action.HOLD, name
        assert ruling.gravest.decision.unsure
        assert ruling.gravest.decision.missing


async def test_a_failed_authentication_holds_too() -> None:
    async def breaks(_: Examination) -> list[Finding]:
        raise RuntimeError

    among = [check for check in checks() if check.name != "authentication"] + [Check("authentication", breaks)]
    ruling, _ = await judged(examination(letter()), among=among)
    assert ruling.gravest.action is Action.HOLD


async def test_a_check_that_takes_too_long_is_one_that_failed() -> None:
    async def dawdles(_: Examination) -> list[Finding]:
        await asyncio.sleep(60)
        return []

    found = await examine(
        examination(letter()), [Check("slow", dawdles)], ExamineLimits(check_seconds=0.01)
    )  # meant to run out
    assert [(finding.code, finding.facts["check"]) for finding in found] == [("check-failed", "slow")]


async def test_what_one_check_found_counts_when_another_failed() -> None:
    found = [
        Finding(code="program", weight=3, says="", check="attachments"),
        Finding(code="check-failed", weight=3, says="", check="archives", facts={"check": "archives"}),
    ]
    facts = shared_facts(found, via=Via.SMTP)
    assert facts.has_program is True
    assert facts.has_macros is None


SHARED_ONLY = """
title     = "Not to shared mailboxes"
because   = "For the test."
owner     = "Tester"
review_by = 2030-01-01
order     = 1
when      = ["the recipient is a shared mailbox"]
then      = "refuse it"
[[example]]
given  = { recipient_shared = true }
expect = "refuse it"
"""


def test_a_refusal_of_one_and_not_of_another_becomes_a_hold() -> None:
    """SMTP has one answer for all recipients: nobody's copy may be lost for it."""
    deck = read_deck({"a": SHARED_ONLY}, INBOUND, otherwise=Action.DELIVER, unsure=Action.HOLD)
    jo, desk = recipient("jo@riverside.example"), recipient("desk@riverside.example", shared=True)
    both = rule([], [jo, desk], deck, via=Via.SMTP)
    assert [one.action for one in both.dispositions] == [Action.DELIVER, Action.HOLD]
    assert both.dispositions[1].decision.action is Action.REFUSE
    assert not both.is_refused
    assert rule([], [desk], deck, via=Via.SMTP).is_refused


async def test_mail_by_lmtp_is_held_rather_than_refused_so_that_nobody_bounces() -> None:
    raw = letter(extra="".join(f"Received: from a by b{n}; Sun, 22 Nov 2026 09:00:00 +0000\r\n" for n in range(60)))
    ruling, _ = await judged(examination(raw, via=Via.LMTP))
    assert ruling.gravest.decision.action is Action.REFUSE
    assert ruling.gravest.action is Action.HOLD
    assert not ruling.is_refused
    by_smtp, _ = await judged(examination(raw))
    assert by_smtp.is_refused


async def test_mail_that_has_been_here_again_and_again_is_in_a_loop() -> None:
    hop = "Received: from a by mx.riverside.example (Carepost) with ESMTPS; Sun, 22 Nov 2026 09:00:00 +0000\r\n"
    ruling, _ = await judged(examination(letter(extra=hop * 6)))
    assert ruling.gravest.decision.card == "went-round"
    few, _ = await judged(examination(letter(extra=hop * 3)))
    assert few.gravest.decision.card == "from-outside"


async def test_a_proof_for_one_name_never_counts_for_another() -> None:
    """What our lenient reading shows and what DMARC proved must be one domain before the register counts."""
    raw = letter(author="any@webmail.example").replace(b"From: ", b"From\r\n : ") + b"\r\n"
    raw = raw.replace(b"To: ", b"Sender: ward@trust.example\r\nTo: ")
    ruling, _ = await judged(examination(raw))
    assert ruling.facts.sender_secure is False
    assert ruling.gravest.action is not Action.DELIVER


async def test_a_colleague_s_name_on_a_strangers_address_is_pointed_out() -> None:
    ruling, found = await judged(examination(letter(author='"Dr Asha Patel" <asha99@webmail.example>')))
    assert ruling.gravest.decision.card == "colleague-lookalike"
    assert "colleague-lookalike" in codes(found)


@pytest.mark.parametrize(
    "domain", ["riversidd.example", "rivreside.example", "riverslde.example", "riverside-example.com"]
)
async def test_a_domain_one_letter_from_ours_is_pointed_out(domain: str) -> None:
    ruling, found = await judged(examination(letter(author=f"a@{domain}"), sender=f"a@{domain}"))
    expected = domain != "riverside-example.com"
    assert ("domain-lookalike" in codes(found)) == expected
    assert (ruling.gravest.decision.card == "domain-lookalike") == expected


@pytest.mark.parametrize(
    "author",
    [
        "a@b.example\r\nFrom: boss@riverside.example",
        "a@b.example, boss@riverside.example",
        "",
        "<@a.example:boss@riverside.example>",
        "=?utf-8?q?boss=40riverside.example?=",
    ],
)
async def test_a_sender_that_can_be_read_in_two_ways_never_reaches_an_inbox(author: str) -> None:
    ruling, _ = await judged(examination(letter(author=author), client="192.0.2.99"))
    assert ruling.gravest.action in {Action.HOLD, Action.REFUSE}


async def test_eicar_plain_as_it_comes_is_held() -> None:
    ruling, found = await judged(examination(with_files(("letter.txt", EICAR))))
    assert ruling.gravest.decision.card == "malware"
    assert "malware" in codes(found)


async def test_the_facts_that_are_kept_are_plain_values() -> None:
    ruling, _ = await judged(examination(letter()))
    kept = plain_facts(ruling.facts)
    assert kept["dmarc"] == "passed"
    assert all(value is None or type(value) in {str, bool} for value in kept.values())
