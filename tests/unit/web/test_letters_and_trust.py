"""Which part is read, what is attached, and what may be said of where it came from."""

from datetime import UTC, datetime

import pytest

from carepost.base.ids import ObjectId, TraceId, Uid
from carepost.message.parse import parse
from carepost.store.model import MessageRow
from carepost.web.mail.letter import attachment_views, bodies_of, is_viewable, kind_words, plain_text
from carepost.web.mail.trust import scanned_words, trust_of


def row(*, trace: bool = True, keywords: tuple[str, ...] = ()) -> MessageRow:
    number = TraceId("0" * 20) if trace else None
    return MessageRow(Uid(1), 0, keywords, 1, 1, datetime(2026, 11, 22, tzinfo=UTC), ObjectId(b"x" * 16), number)


OURS = (
    b"Return-Path: <sam@trust.example>\r\nReceived: from mail.trust.example (mail.trust.example [192.0.2.10])\r\n"
    b"\t(using TLSv1.3 with cipher X)\r\n\tby mx.riverside.example (Carepost) with ESMTPS\r\n\tid 0; now\r\n"
)
PROVED = b"Authentication-Results: mx.riverside.example;\r\n\tdmarc=pass (p=reject) header.from=trust.example\r\n"
BODY = b"From: Sam <sam@trust.example>\r\nSubject: x\r\n\r\nwords\r\n"


def test_encrypted_and_proved_is_received_securely() -> None:
    trust = trust_of(parse(OURS + PROVED + BODY), row())
    assert (trust.kind, trust.title) == ("good", "Received securely.")
    assert "trust.example proved" in trust.says


def test_without_encryption_nothing_is_called_secure() -> None:
    trust = trust_of(parse(OURS.replace(b"ESMTPS", b"ESMTP") + PROVED + BODY), row())
    assert "securely" not in trust.title
    assert trust.title == "Sender proved."


@pytest.mark.parametrize("result", [b"dmarc=fail", b"dmarc=none", b"dmarc=temperror", b"spf=pass; dkim=pass"])
def test_a_sender_that_was_not_proved_is_not_vouched_for(result: bytes) -> None:
    trust = trust_of(parse(OURS + PROVED.replace(b"dmarc=pass", result) + BODY), row())
    assert trust.kind == "plain"


def test_what_the_sender_wrote_about_himself_does_not_count() -> None:
    forged = OURS + b"X-Mailer: x\r\n" + PROVED + BODY
    assert trust_of(parse(forged), row()).kind == "plain"


def test_what_did_not_come_through_the_gateway_is_not_vouched_for() -> None:
    trust = trust_of(parse(OURS + PROVED + BODY), row(trace=False))
    assert "Put here by a person" in trust.title
    assert scanned_words(row(trace=False)) == "not scanned"


@pytest.mark.parametrize(
    ("cards", "title", "says"),
    [
        (b"from-outside", "From outside.", "not on the register"),
        (b"colleague-lookalike", "Take care.", "somebody who works here"),
        (b"domain-lookalike; from-outside", "Take care.", "letter by letter"),
        (b"a-card-of-their-own", "Take care.", "A policy of this service"),
    ],
)
def test_a_warning_is_told_in_the_words_of_its_card(cards: bytes, title: str, says: str) -> None:
    trust = trust_of(parse(OURS + PROVED + b"X-Carepost-Notice: " + cards + b"\r\n" + BODY), row())
    assert (trust.kind, trust.title) == ("outside", title)
    assert says in trust.says


def test_junk_is_said_to_be_junk() -> None:
    assert trust_of(parse(OURS + BODY), row(keywords=("$Junk",))).kind == "bad"


MIXED = (
    b'Content-Type: multipart/mixed; boundary="m"\r\nMIME-Version: 1.0\r\n\r\n--m\r\nContent-Type: text/html\r\n\r\n<b>first</b>\r\n'
    b"--m\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: text/plain\r\n\r\nnot ours\r\n"
    b'--m\r\nContent-Type: text/plain; name="notes.txt"\r\nContent-Disposition: attachment\r\n\r\nattached\r\n--m--\r\n'
)


def test_the_text_of_an_attached_message_or_file_is_never_taken_for_the_letter() -> None:
    bodies = bodies_of(parse(MIXED))
    assert bodies.plain is None
    assert bodies.html is not None


def test_text_becomes_part_of_the_page_with_every_character_escaped() -> None:
    message = parse(b"Content-Type: text/plain\r\n\r\n<script>alert(1)</script> & more\r\n")
    bodies = bodies_of(message)
    assert bodies.plain is not None
    assert str(plain_text(message, bodies.plain[1])).strip() == "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"


@pytest.mark.parametrize(
    "kind", ["image/svg+xml", "text/html", "application/xhtml+xml", "text/xml", "application/javascript", "text/css"]
)
def test_what_a_browser_might_run_is_never_looked_at_in_it(kind: str) -> None:
    assert not is_viewable(kind)


def test_attachments_can_be_saved_or_on_a_shared_computer_only_looked_at() -> None:
    given = [("2", "a.pdf", "application/pdf", 7800), ("3", "b.docx", "application/octet-stream", 100)]
    own = attachment_views(given, at="/mail/1/2/3", scanned="scanned", may_save=True)
    assert [(one.view, one.save) for one in own] == [
        ("/mail/1/2/3/part/2?do=view", "/mail/1/2/3/part/2?do=save"),
        ("", "/mail/1/2/3/part/3?do=save"),
    ]
    assert own[0].size == "6 KB"
    shared = attachment_views(given, at="/mail/1/2/3", scanned="scanned", may_save=False)
    assert [one.save for one in shared] == ["", ""]


def test_kinds_of_files_have_plain_names() -> None:
    assert kind_words("application/pdf", "x") == "PDF"
    assert kind_words("application/octet-stream", "x.dcm") == "DCM file"
    assert kind_words("image/png", "x") == "PNG picture"
    assert kind_words("application/octet-stream", "x") == "File"
