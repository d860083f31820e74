"""The disclaimer under messages as mail programs really write them, read back by another reader. R146."""

import base64
import email
import email.policy
import quopri

import pytest

from carepost.message.edit import Disclaimed, Disclaimer, disclaim

LONG = "This message is for the person it names only. If it is not for you, tell us and delete it. " * 12
OURS = Disclaimer(
    text=f"Riverside Surgery\n{LONG}\nÜnterhalten & <genau> gelesen.", mark="CAREPOST-NOTE-A81001", version="3"
)
MARK = "[CAREPOST-NOTE-A81001]"
HEAD = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
IMAGE = (
    b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <logo>\r\n\r\n"
    + base64.encodebytes(bytes(range(200))).replace(b"\n", b"\r\n")
)
PAGE = "<html><head><title>x</title></head><body><p>Grüße</p><img src='cid:logo'></body></html>"


def parts(boundary: str, *inner: bytes) -> bytes:
    lines = b"".join(b"--" + boundary.encode() + b"\r\n" + one + b"\r\n" for one in inner)
    return lines + b"--" + boundary.encode() + b"--\r\n"


def multi(kind: str, boundary: str, *inner: bytes) -> bytes:
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode() + parts(boundary, *inner)


def text(kind: str, charset: str, encoding: str, said: str, extra: str = "") -> bytes:
    octets = said.replace("\n", "\r\n").encode(charset)
    if encoding == "base64":
        octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        octets = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    head = f"Content-Type: text/{kind}; charset={charset}{extra}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + octets


PDF = b"Content-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\n%PDF-1.4 x"
FLOWED = "Grüße und\nein langer Absatz, der weiter \nfließt.\n-- \nNia Nurse"
SHAPES = {
    "thunderbird, plain and flowed": text("plain", "utf-8", "8bit", FLOWED, "; format=flowed"),
    "thunderbird, with a picture and a file": multi(
        "mixed",
        "m",
        multi(
            "alternative",
            "a",
            text("plain", "utf-8", "8bit", FLOWED, "; format=flowed"),
            multi("related", "r", text("html", "utf-8", "8bit", PAGE), IMAGE),
        ),
        PDF,
    ),
    "outlook, page in base64": multi(
        "related",
        "_000_",
        multi(
            "alternative",
            "_001_",
            text("plain", "iso-8859-1", "quoted-printable", "Grüße"),
            text("html", "utf-8", "base64", PAGE),
        ),
        IMAGE,
    ),
    "outlook, windows-1252": multi(
        "alternative",
        "_0_",
        text("plain", "windows-1252", "quoted-printable", "Grüße – ja"),
        text("html", "windows-1252", "quoted-printable", PAGE),
    ),
    "a telephone, without a last line end": text("plain", "us-ascii", "7bit", "Yes").rstrip(b"\r\n"),
    "in Japanese": text("plain", "iso-2022-jp", "7bit", "日本"),
}


def leaves(raw: bytes) -> list[tuple[str, bytes]]:
    read = email.message_from_bytes(raw, policy=email.policy.default)
    return [(one.get_content_type(), one.get_payload(decode=True)) for one in read.walk() if not one.is_multipart()]


def shown(raw: bytes) -> list[str]:
    read = email.message_from_bytes(raw, policy=email.policy.default)
    return [one.get_content() for one in read.walk() if one.get_content_type() in {"text/plain", "text/html"}]


@pytest.mark.parametrize("name", SHAPES)
def test_every_form_of_the_text_gets_it_once_and_nothing_else_changes(name: str) -> None:
    raw = HEAD + SHAPES[name]
    edited, came_to = disclaim(raw, OURS)
    assert came_to is Disclaimed.ADDED
    before, after = shown(raw), shown(edited)
    for was, now in zip(before, after, strict=True):
        assert now.count(MARK) == 1
        assert "genau" in now
        assert now.replace("\r\n", "\n").startswith(was.replace("\r\n", "\n").rstrip("\n")[: -len("</body></html>")])
    others = [one for one in leaves(raw) if not one[0].startswith("text/")]
    assert [one for one in leaves(edited) if not one[0].startswith("text/")] == others
    assert max(len(line) for line in edited.split(b"\r\n")) <= 998
    assert b"\n" not in edited.replace(b"\r\n", b"")
    assert not [line for line in edited.decode("latin-1").split("\r\n") if line.startswith("Bcc")]


@pytest.mark.parametrize("name", SHAPES)
def test_an_answer_that_quotes_it_in_either_form_has_it_once(name: str) -> None:
    """Reply, reply to the reply: the thread has one."""
    for said in shown(disclaim(HEAD + SHAPES[name], OURS)[0]):
        is_page = "</" in said
        quote = f"<p>Ja</p><blockquote>{said}</blockquote>" if is_page else "Ja\n" + _quoted(_quoted(said))
        for charset, encoding in (("utf-8", "8bit"), ("utf-8", "base64"), ("utf-8", "quoted-printable")):
            reply = HEAD + text("html" if is_page else "plain", charset, encoding, quote)
            assert disclaim(reply, OURS) == (reply, Disclaimed.QUOTED)


def test_another_organisations_mark_that_begins_alike_is_another() -> None:
    theirs = Disclaimer(text="Theirs.", mark="CAREPOST-NOTE-A8100", version="1")
    raw = disclaim(HEAD + SHAPES["in Japanese"], OURS)[0]
    assert disclaim(raw, theirs)[1] is Disclaimed.ADDED


def test_what_is_nothing_but_a_file_is_told_apart() -> None:
    assert disclaim(HEAD + PDF, OURS)[1] is Disclaimed.NO_PLACE


def _quoted(said: str) -> str:
    return "".join(f"> {line}\n" for line in said.splitlines())
