"""A verdict in plain words, and a message as it is kept."""

from datetime import UTC, datetime

import pytest
from tests.fakes.gateway import DECK, connection, examination, judged, letter

from carepost.gateway.explain import _DONE, _NEXT, FACTS, explain
from carepost.gateway.model import Finding, Via
from carepost.gateway.stored import notice_of, stored_message, without_pretence
from carepost.gateway.verdict import Details, KeptFinding, KeptRecipient, Record, SearchBy, findable
from carepost.policy.actions import Action
from carepost.policy.inbound import InboundFacts
from carepost.policy.outbound import OutboundFacts

HOLD = "hold it for a person to look at"


def kept(*recipients: KeptRecipient, findings: tuple[KeptFinding, ...] = ()) -> Record:
    details = Details(
        sender="pat@webmail.example",
        authors=("pat@webmail.example",),
        message_id="<1@webmail.example>",
        client="192.0.2.50",
        hello="mail.webmail.example",
        tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
        recipients=recipients,
        findings=findings,
        facts={},
    )
    return Record(
        trace="0123456789ABCDEFGHJK", at=datetime(2026, 11, 5, 9, 0, tzinfo=UTC), door="smtp", size=10, details=details
    )


def recipient(
    address: str, *, action: str, decided: str | None = None, card: str | None = "malware", **more: object
) -> KeptRecipient:
    found = DECK.card(card) if card else None
    values = {
        "card_version": found.version if found else ("1" if card else None),
        "unsure": False,
        "missing": (),
        **more,
    }
    return KeptRecipient(
        address=address,
        mailbox=1,
        decided=decided or action,
        action=action,
        card=card,
        **values,  # type: ignore[arg-type]
    )


def test_a_held_message_is_explained_by_its_card_and_what_was_seen() -> None:
    seen = (
        KeptFinding("odd-form", 0, "unimportant", "structure"),
        KeptFinding("malware", 3, "The message holds malware: X.", "malware"),
    )
    told = "\n".join(explain(kept(recipient("jo@a.example", action=HOLD), findings=seen), DECK).lines())
    assert "A message from pat@webmail.example was held in quarantine." in told
    assert "It came on 5 November 2026 at 09:00:00 UTC from 192.0.2.50 (over TLSv1.3" in told
    assert "When malware was found in the message: hold it for a person to look at." in told
    assert "The message holds malware: X. [malware]" in told
    assert "unimportant" not in told
    assert "A local administrator can look at it" in told


def test_recipients_who_were_treated_alike_are_told_of_together() -> None:
    record = kept(
        recipient("a@a.example", action="deliver it", card="secure-sender"),
        recipient("b@a.example", action="deliver it", card="secure-sender"),
        recipient("c@a.example", action=HOLD, decided="refuse it", card="own-domain-spoof"),
    )
    story = explain(record, DECK)
    assert [copy.recipients for copy in story.copies] == [("a@a.example", "b@a.example"), ("c@a.example",)]
    assert story.headline == "A message from pat@webmail.example was delivered and was held in quarantine."
    assert any("only be told yes or no for all" in reason for reason in story.copies[1].because)


def test_what_could_not_be_found_out_is_named() -> None:
    record = kept(recipient("a@a.example", action=HOLD, unsure=True, missing=("malware_found",)))
    told = "\n".join(explain(record, DECK).lines())
    assert "could not be judged, because it could not be found out whether it holds malware" in told


def test_a_card_that_has_changed_or_gone_since_is_said_so() -> None:
    changed = "\n".join(explain(kept(recipient("a@a.example", action=HOLD, card_version="old")), DECK).lines())
    assert "has been changed since" in changed
    gone = "\n".join(explain(kept(recipient("a@a.example", action=HOLD, card="abolished")), DECK).lines())
    assert "no longer among the cards" in gone
    none = "\n".join(explain(kept(recipient("a@a.example", action="deliver it", card=None)), DECK).lines())
    assert "No card applied" in none


def test_every_action_and_every_fact_has_its_words() -> None:
    done = {action for action in Action if not action.name.startswith("ASK_")}  # a question is nothing that was done
    assert set(_DONE) == set(_NEXT) == done
    assert set(FACTS) == set(InboundFacts.__slots__) | set(OutboundFacts.__slots__)


def test_what_our_own_people_sent_is_told_by_the_outbound_cards() -> None:
    record = kept(
        recipient("pat@gmail.example", action="send it through the portal", card="patient"),
        recipient("jo@a.example", action="send it", card="inside"),
    )
    sent = Record(trace=record.trace, at=record.at, door="web", size=1, details=record.details)
    told = "\n".join(explain(sent, DECK).lines())
    assert "was sent as a secure link and was sent" in told
    assert "When patient details are in the message: send it through the portal." in told
    assert "It was written in web mail on 5 November 2026" in told


@pytest.mark.parametrize(
    ("by", "given", "found"),
    [
        (SearchBy.SENDER, " <PAT@Webmail.Example> ", "pat@webmail.example"),
        (SearchBy.MESSAGE_ID, "<AbC@x>", "AbC@x"),
        (SearchBy.RECIPIENT, "Jo@A.example", "jo@a.example"),
    ],
)
def test_what_is_searched_for_is_written_in_one_way(by: SearchBy, given: str, found: str) -> None:
    assert findable(by, given) == found


async def test_our_fields_come_first_and_the_sender_s_bytes_follow() -> None:
    raw = letter()
    seen = examination(raw)
    ruling, found = await judged(seen)
    stored = stored_message(
        seen.message, connection=seen.connection, envelope=seen.envelope, findings=found, ruling=ruling
    ).raw
    assert stored.startswith(b"Authentication-Results: mx.riverside.example;")
    assert stored.endswith(raw)
    assert notice_of(ruling) == "from-outside"


def test_only_what_pretends_to_be_ours_is_left_out() -> None:
    head = (
        b"Received: by x; now\r\n"
        b"authentication-results: MX.Riverside.Example; spf=pass\r\n"
        b"Authentication-Results:\r\n mx.riverside.example;\r\n dkim=pass\r\n"
        b"Authentication-Results: elsewhere.example; dkim=pass\r\n"
        b"X-CAREPOST-notice: safe\r\n"
        b"From: a@b.example\r\n\r\nAuthentication-Results: mx.riverside.example; in the text\r\n"
    )
    assert without_pretence(head, authserv_id="mx.riverside.example") == (
        b"Received: by x; now\r\n"
        b"Authentication-Results: elsewhere.example; dkim=pass\r\n"
        b"From: a@b.example\r\n\r\nAuthentication-Results: mx.riverside.example; in the text\r\n"
    )


def test_values_do_not_change() -> None:
    finding = Finding(code="x", weight=1, says="y", check="z", facts={"a": True})
    with pytest.raises((AttributeError, TypeError)):
        finding.code = "other"  # type: ignore[misc]
    assert connection(via=Via.LMTP).via is Via.LMTP
