"""Any bytes are a message: parsing never raises, keeps the bytes, and nests its spans."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.message.spans import spans_are_nested

from carepost.message.compose import Attachment, compose
from carepost.message.model import Message
from carepost.message.parse import ParseLimits, parse
from carepost.message.second_reading import disagreements, second_reading
from carepost.message.summary import decode, encode, summarise
from carepost.message.words import search_text

PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"--b", b"--b--", b"--c", b"--bb", b"\r\n\r\n", b"Content-Type: ", b"multipart/mixed", b"multipart/digest",
    b"message/rfc822", b"text/html", b"; boundary=b", b"; boundary=c", b'; boundary="b', b"; charset=utf-8", b"Content-Transfer-Encoding: base64",
    b"From: a@b.example", b"To: ", b"g: <a@b>;", b"Subject: =?utf-8?q?x", b"?=", b"\0", b"\xff", b"<b>", b"</script>", b"<script", b"QUJD=", b"=\r\n",
    b"Content-Disposition: attachment; filename*0*=utf-8''%E2", b"(", b")", b'"', b":", b"References: <a@b>", b"Date: 1 Jan 2026 00:00 +9900",
]  # fmt: skip


def _examine(raw: bytes, limits: ParseLimits) -> Message:
    message = parse(raw, limits)
    assert message.raw == raw
    assert spans_are_nested(message)
    summary = summarise(message)
    assert decode(encode(summary)) == summary
    assert len(search_text(message, 500)) <= 500
    for path, part in message.leaves():
        assert message.part_at(path) is part
        message.text(part).encode("utf-8", "surrogatepass")
    return message


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_message(raw: bytes) -> None:
    _examine(raw, ParseLimits())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60), st.integers(1, 5), st.integers(1, 6))
def test_any_pieces_of_messages_are_a_message(pieces: list[bytes], depth: int, parts: int) -> None:
    raw = b"".join(pieces)
    _examine(raw, ParseLimits())
    _examine(raw, ParseLimits(depth=depth, parts=parts, headers=3, header_bytes=60, params=2, boundary=4))


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_the_second_reader_may_fail_but_never_raises(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    assert all(isinstance(one, str) for one in disagreements(parse(raw), second_reading(raw)))


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cf", "Co", "Cn"]), max_size=80)
BODY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=400)


@settings(deadline=None)
@given(
    WORDS,
    BODY,
    st.none() | BODY,
    st.lists(
        st.tuples(WORDS, st.sampled_from(["application/pdf", "text/plain", "image/png"]), st.binary(max_size=200)),
        max_size=3,
    ),
)
def test_what_was_composed_is_read_again(
    subject: str, text: str, html: str | None, files: list[tuple[str, str, bytes]]
) -> None:
    raw = compose(
        "Dr Shah <a.shah@riverside.example>",
        ["ward7@trust.example"],
        subject,
        text,
        html=html,
        attachments=[Attachment(*one) for one in files],
        date=datetime(2026, 11, 22, 9, 0, tzinfo=UTC),
        message_id="1@riverside.example",
    )
    message = parse(raw)
    assert message.defects == frozenset()
    assert message.header_values("subject")[0].count(b"\n") == 0
    assert message.subject == subject.strip()
    leaves = [part for _, part in message.leaves()]
    assert _same_text(message.text(leaves[0]), text)
    if html is not None:
        assert _same_text(message.text(leaves[1]), html)
    read = leaves[1 if html is None else 2 :]
    assert [message.body_bytes(part) for part in read] == [content for _, _, content in files]
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")


def _same_text(read: str, written: str) -> bool:
    """A line end at the end may be added, so that the boundary begins a line."""
    return read.replace("\r\n", "\n").removesuffix("\n") == written.removesuffix("\n")
