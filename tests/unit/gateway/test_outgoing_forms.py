"""The forms in which a message leaves, and what a message must be to leave: bytes in, bytes out."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.base.address import EmailAddress
from carepost.gateway.out.copies import Form, forms, received_field, stamped
from carepost.gateway.out.decide import Spread
from carepost.gateway.out.form import Fault, completed, faults, names
from carepost.message.parse import parse

HEAD = (
    b"From: Nia <nia@riverside.example>\r\n"
    b'To: "Pat, the first" <pat@gmail.example>,\r\n Sam <sam@gmail.example>, jo@riverside.example\r\n'
    b"CC: kim@gmail.example\r\n"
    b"bcc: secret@gmail.example\r\n"
    b"Resent-Bcc: secret2@gmail.example\r\n"
    b"BCC : secret3@gmail.example\r\n"
    b"Subject: Hello\r\n"
    b"X-Carepost-Notice: forged\r\n"
    b"Return-Path: <x@y.example>\r\n"
)
RAW = HEAD + b"\r\nBcc: this is text\r\n.\r\nnot the end\r\n"
TO = {
    number: EmailAddress.parse(one)
    for number, one in enumerate(
        ["pat@gmail.example", "sam@gmail.example", "jo@riverside.example", "kim@gmail.example", "secret@gmail.example"]
    )
}


@pytest.mark.parametrize("spread", list(Spread))
def test_no_form_holds_a_hidden_address_or_a_field_of_ours(spread: Spread) -> None:
    for form in forms(RAW, TO, spread, hidden=[0, 1, 3, 4]):
        head, _, body = form.raw.partition(b"\r\n\r\n")
        if set(form.seqs) != {4}:
            assert b"secret" not in form.raw
        assert b"secret2" not in form.raw
        assert b"forged" not in head
        assert b"return-path" not in head.lower()
        assert body == b"Bcc: this is text\r\n.\r\nnot the end\r\n", "the body is the sender's, byte for byte"


def test_everybody_sees_everybody_visible_when_nothing_was_chosen() -> None:
    [form] = forms(RAW, TO, Spread.SHARED)
    assert form.seqs == tuple(TO)
    assert (
        b'To: "Pat, the first" <pat@gmail.example>,\r\n Sam <sam@gmail.example>, jo@riverside.example\r\n' in form.raw
    )


def test_one_message_each_names_its_reader_and_nobody_else() -> None:
    made = forms(RAW, TO, Spread.EACH)
    assert [form.seqs for form in made] == [(0,), (1,), (2,), (3,), (4,)]
    for form in made:
        reader = TO[form.seqs[0]]
        message = parse(form.raw)
        assert [one.address for one in message.addresses("to")] == [str(reader)]
        assert message.header_values("cc") == []
        others = [str(one) for one in TO.values() if one != reader]
        assert not any(other.encode() in form.raw for other in others)
    assert b'To: "Pat, the first" <pat@gmail.example>\r\n' in made[0].raw


def test_bcc_hides_those_outside_and_keeps_those_inside() -> None:
    [form] = forms(RAW, TO, Spread.BCC, hidden=[0, 1, 3, 4])
    message = parse(form.raw)
    assert [one.address for one in message.addresses("to")] == ["jo@riverside.example"]
    assert message.header_values("cc") == []
    [alone] = forms(RAW, TO, Spread.BCC, hidden=list(TO))
    assert parse(alone.raw).header_values("to") == [b"undisclosed-recipients:;"]


def test_a_message_without_recipients_has_no_form() -> None:
    assert forms(RAW, {}, Spread.SHARED) == []
    assert Form(b"", ()) == Form(b"", ())


def test_our_trace_names_no_network_address_of_the_sender() -> None:
    at = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    received = received_field(host="mx.riverside.example", trace="T" * 20, at=at, door="web")
    assert received == (
        b"Received: by mx.riverside.example (Carepost) with HTTPS id TTTTTTTTTTTTTTTTTTTT;\r\n"
        b" Sun, 22 Nov 2026 09:00:00 +0000\r\n"
    )
    laid = stamped(RAW, received=received, reverse_path=TO[0], final=True)
    assert laid == b"Return-Path: <pat@gmail.example>\r\n" + received + RAW
    assert stamped(RAW, received=received) == received + RAW


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", Fault.EMPTY),
        (b"From: a@b.example\r\nSubject: a\nBcc: c@d.example\r\n\r\n", Fault.STRAY_LINE_END),
        (b"From: a@b.example\r\n\r\ntext\r.\r\n", Fault.STRAY_LINE_END),
        (b"From: a@b.example\r\n\r\ntext\n.\r\n", Fault.STRAY_LINE_END),
        (b"From: a@b.example\r\n\r\na\0b\r\n", Fault.NUL),
        (b"From: a@b.example\r\nSubject: " + b"x" * 999 + b"\r\n\r\n", Fault.LONG_LINE),
        (b"From: a@b.example\r\nrubbish\r\n\r\n", Fault.NOT_A_FIELD),
        (b"From: a@b.example\r\nfrom: c@d.example\r\n\r\n", Fault.TWICE),
        (b"From: a@b.example\r\nBcc: c@d.example\r\nBCC: c@d.example\r\n\r\n", Fault.TWICE),
        (b"From: a@b.example\r\nSubject: =?utf-8?b?YQ0KQmNjOiBi?=\r\n\r\n", Fault.HIDDEN_LINE),
        (b"From: a@b.example\r\nSubject: a\x0bb\r\n\r\n", Fault.HIDDEN_LINE),
        (b"From: a@b.example\r\nSubject: \xe9t\xe9\r\n\r\n", Fault.NOT_ASCII),
    ],
)
def test_what_could_become_another_header_or_another_message_is_a_fault(raw: bytes, fault: Fault) -> None:
    assert fault in faults(raw)


def test_an_ordinary_message_has_no_fault() -> None:
    raw = "From: Zoë <zoe@b.example>\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n\tand more\r\nTo: a@b.example\r\n\r\nText\r\n"
    assert faults(raw.encode()) == []


def test_date_and_message_id_are_added_above_and_nothing_else_is_changed() -> None:
    at = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    raw = b"From: a@b.example\r\n\r\nText\r\n"
    done = completed(raw, at=at, message_id="1@b.example", sender=EmailAddress.parse("me@b.example"))
    assert done == (
        b"Date: Sun, 22 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@b.example>\r\nSender: me@b.example\r\n" + raw
    )
    assert completed(done, at=at, message_id="2@b.example", sender=EmailAddress.parse("you@b.example")) == done


def test_whom_a_message_is_from_is_read_strictly() -> None:
    assert names(b"From: A <a@b.example>\r\nSender: c@d.example\r\n\r\n").sender == EmailAddress.parse("c@d.example")
    for doubtful in (b"From: a@b.example, c@d.example\r\n\r\n", b"Subject: x\r\n\r\n", b"From: nobody\r\n\r\n"):
        assert names(doubtful).fault
    assert names(b"From: a@b.example\r\nSender: x, y@z.example\r\n\r\n").fault


NAMES = st.sampled_from(
    ["Bcc", "BCC", "bcc", "bCc ", "Bcc\t", "Bcc\r\n ", "Resent-Bcc", "resent-BCC ", "X-Envelope-To"]
)
HIDDEN = st.builds(
    lambda name, folds: f"{name}:{folds}secret@gmail.example,\r\n\tsecret2@gmail.example\r\n",
    NAMES,
    st.sampled_from([" ", "", "\r\n ", " (a comment) ", " Somebody <x@y.example>, "]),
)
OPEN = st.sampled_from(
    [
        "From: nia@riverside.example\r\n",
        "To: pat@gmail.example\r\n",
        "Cc: Kim <kim@gmail.example>,\r\n sam@gmail.example\r\n",
        "Subject: a\r\n b\r\n",
        "X-Odd: bcc: none\r\n",
    ]
)


@given(st.lists(st.one_of(OPEN, HIDDEN), min_size=1, max_size=12), st.sampled_from(list(Spread)))
def test_however_a_hidden_copy_is_written_it_never_leaves(lines: list[str], spread: Spread) -> None:
    raw = ("".join(lines) + "\r\nText\r\n").encode()
    to = {seq: address for seq, address in TO.items() if seq < 4}
    for form in forms(raw, to, spread, hidden=[0, 1, 3]):
        assert b"secret" not in form.raw
        assert form.raw.endswith(b"\r\nText\r\n")
        assert parse(form.raw).header_values("bcc") == []
