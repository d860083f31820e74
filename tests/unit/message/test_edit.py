"""Edits on the way out: fields, and the disclaimer once a thread (R146), every other byte left alone."""

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.base.errors import Malformed
from carepost.message.edit import Disclaimer, add_disclaimer, has_disclaimer, put_field, remove_fields, replace_field
from carepost.message.parse import parse
from carepost.message.words import text_of_html

PLAIN = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: Hello\r\n\r\nGood morning.\r\n"
OURS = Disclaimer(text="This message is for the person it names only.", mark="A81001-7KQ2", version="3")
MARK = b"[A81001-7KQ2]"


def both(text: bytes = b"Hello\r\n", html: bytes = b"<html><body><p>Hello</p></body></html>\r\n") -> bytes:
    return (
        b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\npreamble\r\n"
        b"--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text + b"\r\n"
        b"--x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + html
        + b"\r\n--x--\r\n"
    )


def test_a_field_is_taken_out_with_its_folded_lines_however_it_is_written() -> None:
    raw = b"Bcc: one@x.example,\r\n two@x.example\r\nFrom: a@b.example\r\nBCC : three@x.example\r\nbCc:\tfour@x.example\r\n\r\nBcc: body\r\n"
    assert remove_fields(raw, "Bcc") == b"From: a@b.example\r\n\r\nBcc: body\r\n"


def test_a_field_behind_a_bare_line_feed_is_taken_out_too() -> None:
    assert b"secret" not in remove_fields(b"Subject: x\nBcc: secret@x.example\r\n\r\nbody\r\n", "bcc")


def test_a_field_is_put_above_and_replaced_where_it_stood() -> None:
    assert put_field(PLAIN, "X-One", "value") == b"X-One: value\r\n" + PLAIN
    twice = b"From: a@b.example\r\nSubject: one\r\nTo: c@d.example\r\nSubject: two\r\n\r\nbody"
    assert (
        replace_field(twice, "Subject", "three")
        == b"From: a@b.example\r\nSubject: three\r\nTo: c@d.example\r\n\r\nbody"
    )
    assert replace_field(PLAIN, "Reply-To", "x@y.example").startswith(b"Reply-To: x@y.example\r\nFrom:")


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_value_becomes_a_second_header(name: str, value: str) -> None:
    """P10: whatever is put in, one field more stands there, or nothing is done."""
    for edit in (put_field, replace_field):
        try:
            edited = edit(PLAIN, name, value)
        except Malformed:
            continue
        before, after = parse(PLAIN).root.headers, parse(edited).root.headers
        known = name.lower() in {"from", "to", "subject"} and edit is replace_field
        assert len(after) == len(before) + (not known)
        assert edited.endswith(b"\r\n\r\nGood morning.\r\n")


@pytest.mark.parametrize("evil", ["a\r\nBcc: x@y.example", "a\nb", "a\rb", "a\x85b", "a\u2028b", "a\x00b"])
def test_a_line_end_in_a_value_is_refused(evil: str) -> None:
    with pytest.raises(Malformed):
        put_field(PLAIN, "X-One", evil)
    with pytest.raises(Malformed):
        replace_field(PLAIN, "Subject", evil)


def test_the_disclaimer_stands_under_plain_text_and_nothing_else_changes() -> None:
    edited = add_disclaimer(PLAIN, OURS)
    assert edited.startswith(PLAIN)
    assert edited.count(MARK) == 1
    assert b"for the person it names only" in edited


def test_the_disclaimer_stands_in_both_forms_of_a_message() -> None:
    edited = add_disclaimer(both(), OURS)
    message = parse(edited)
    assert message.defects == parse(both()).defects
    text, page = message.root.children
    assert message.text(text).startswith("Hello\r\n")
    assert message.text(text).count("[A81001-7KQ2]") == 1
    assert message.text(page).index("[A81001-7KQ2]") < message.text(page).index("</body>")
    removed = edited
    for part in (text, page):
        assert MARK in message.body_bytes(part)
    assert removed.startswith(
        b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\npreamble\r\n--x\r\n"
    )
    assert edited.endswith(b"\r\n--x--\r\n")


def test_a_thread_gets_its_disclaimer_once_however_it_was_quoted() -> None:
    first = add_disclaimer(PLAIN, OURS)
    body = parse(first).text(parse(first).root)
    quoted = "".join(f"> {line}\r\n" for line in body.splitlines())
    wrapped = body.replace("[A81001-7KQ2]", "[A81001-\r\n> > 7KQ2]")
    page = "<blockquote>" + body.replace("\r\n", "<br>") + "</blockquote>"
    for said, kind in ((quoted, "plain"), (wrapped, "plain"), (page, "html")):
        reply = f"From: a@b.example\r\nContent-Type: text/{kind}\r\nMIME-Version: 1.0\r\n\r\nYes.\r\n{said}".encode()
        assert add_disclaimer(reply, OURS) == reply
        encoded = (
            f"From: a@b.example\r\nContent-Type: text/{kind}; charset=utf-8\r\nMIME-Version: 1.0\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n"
        ).encode() + base64.encodebytes(said.encode()).replace(b"\n", b"\r\n")
        assert add_disclaimer(encoded, OURS) == encoded


def test_a_newer_version_of_the_text_is_the_same_disclaimer() -> None:
    newer = Disclaimer(text="Another text.", mark=OURS.mark, version="4")
    assert add_disclaimer(add_disclaimer(PLAIN, OURS), newer) == add_disclaimer(PLAIN, OURS)
    others = Disclaimer(text="Theirs.", mark="B82002-AAAA", version="1")
    assert add_disclaimer(add_disclaimer(PLAIN, OURS), others) != add_disclaimer(PLAIN, OURS)


def test_encoded_bodies_say_what_they_said_before_and_the_disclaimer() -> None:
    text = "Grüße, die Karte – 5 €.\r\n"
    for charset, encoding, body in (
        ("utf-8", "base64", base64.encodebytes(text.encode()).replace(b"\n", b"\r\n")),
        ("utf-8", "quoted-printable", quopri.encodestring(text.replace("\r\n", "\n").encode()).replace(b"\n", b"\r\n")),
        ("windows-1252", "8bit", text.encode("cp1252")),
        ("utf-16", "base64", base64.encodebytes(text.encode("utf-16")).replace(b"\n", b"\r\n")),
        ("iso-2022-jp", "7bit", "日本\r\n".encode("iso2022_jp")),
    ):
        raw = (
            f"From: a@b.example\r\nMIME-Version: 1.0\r\nSubject: x\r\nContent-Type: text/plain; charset={charset}\r\n"
            f"Content-Transfer-Encoding: {encoding}\r\nX-Kept: yes\r\n\r\n"
        ).encode() + body
        said = parse(raw).text(parse(raw).root).strip()
        for disclaimer in (
            OURS,
            Disclaimer(text="Nur für Sie – bitte.", mark="C83003-ÄÄÄ".replace("Ä", "A"), version="1"),
        ):
            edited = parse(add_disclaimer(raw, disclaimer))
            assert edited.text(edited.root).startswith(said), charset
            assert disclaimer.text in edited.text(edited.root), charset
            assert edited.first("x-kept") == b"yes"
            assert edited.first("subject") == b"x"
            assert len(edited.header_values("content-type")) == 1
            assert edited.defects == parse(raw).defects


def test_html_without_a_body_tag_and_with_a_split_one_still_gets_it() -> None:
    for page in (b"<p>Hello", b"<p>Hello</p></bo=\r\ndy></html>\r\n", b"<P>Hello</P></BODY></HTML>"):
        edited = parse(add_disclaimer(both(html=page), OURS))
        shown = text_of_html(edited.text(edited.root.children[1]))
        assert shown.startswith("Hello")
        assert shown.endswith("[A81001-7KQ2]")


def test_what_is_attached_or_forwarded_is_not_written_under() -> None:
    raw = (
        b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n"
        b"--y\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n"
        b"--y\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nfile\r\n"
        b"--y\r\nContent-Type: message/rfc822\r\n\r\n" + PLAIN + b"\r\n--y--\r\n"
    )
    edited = add_disclaimer(raw, OURS)
    assert edited.count(MARK) == 1
    assert edited.index(MARK) < edited.index(b"filename=a.txt")
    at = edited.index(b"--y\r\nContent-Type: text/plain\r\nContent-Disposition")
    assert edited[at:] == raw[raw.index(b"--y\r\nContent-Type: text/plain\r\nContent-Disposition") :]


def test_a_message_that_begins_with_a_file_gets_it_as_a_last_part() -> None:
    raw = (
        b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n"
        b"--y\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--y--\r\n"
    )
    edited = parse(add_disclaimer(raw, OURS))
    assert [part.media_type for part in edited.root.children] == ["application/pdf", "text/plain"]
    assert has_disclaimer(edited, OURS.mark)


def test_what_is_sealed_end_to_end_is_left_alone() -> None:
    signed = (
        b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s; micalg=sha-256\r\n\r\n"
        b"--s\r\nContent-Type: text/plain\r\n\r\nSigned.\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--s--\r\n"
    )
    pgp = PLAIN.replace(b"Good morning.", b"-----BEGIN PGP MESSAGE-----\r\nabc")
    for raw in (signed, pgp):
        assert add_disclaimer(raw, OURS) == raw


def test_a_mark_that_could_not_be_recognised_is_refused() -> None:
    for mark in ("", "short", "has space", "lower-case-mark", "X" * 60):
        with pytest.raises(Malformed):
            Disclaimer(text="x", mark=mark, version="1")


@given(st.binary(max_size=400))
def test_no_message_makes_an_edit_fail(raw: bytes) -> None:
    add_disclaimer(raw, OURS)
    assert remove_fields(raw, "x-none-such") == raw
