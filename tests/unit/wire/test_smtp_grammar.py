"""One line in, one command out, or the reply that says why not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost.wire.smtp_grammar import Mail, Misunderstood, Path, Recipient, from_xtext, understand
from carepost.wire.smtp_replies import Reply


def refusal(line: bytes) -> int:
    with pytest.raises(Misunderstood) as why:
        understand(line)
    return why.value.reply.code


def test_mail_with_every_parameter() -> None:
    line = b"mail from:<x+y@a.example> size=1234 BODY=8BITMIME RET=hdrs ENVID=QQ+2B1 SMTPUTF8"
    assert understand(line) == Mail(
        sender=Path("x+y", "a.example"), size=1234, body="8BITMIME", smtputf8=True, ret="HDRS", envid="QQ+2B1"
    )


def test_rcpt_with_every_parameter() -> None:
    line = b"RCPT TO:<y@b.example> NOTIFY=success,DELAY ORCPT=rfc822;y=z@b.example"
    assert understand(line) == Recipient(
        address=Path("y", "b.example"), notify=frozenset({"SUCCESS", "DELAY"}), original="rfc822;y=z@b.example"
    )


def test_the_empty_sender_is_a_sender() -> None:
    assert understand(b"MAIL FROM:<>") == Mail(sender=None)


def test_postmaster_needs_no_domain() -> None:
    assert understand(b"RCPT TO:<PostMaster>") == Recipient(address=Path("PostMaster", ""))


def test_a_space_after_the_colon_is_forgiven() -> None:
    assert understand(b"MAIL FROM: <x@a.example>") == Mail(sender=Path("x", "a.example"))


def test_a_long_sender_made_by_a_forwarder_is_understood() -> None:
    local = b"SRS0=abcd=xy=a.example=" + b"b" * 80
    assert understand(b"MAIL FROM:<" + local + b"@f.example>") == Mail(sender=Path(local.decode(), "f.example"))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b'MAIL FROM:<"a b>c"@a.example>', Path('"a b>c"', "a.example")),
        (b"MAIL FROM:<x@[192.0.2.1]>", Path("x", "[192.0.2.1]")),
        (b"MAIL FROM:<x@[IPv6:2001:db8::1]>", Path("x", "[IPv6:2001:db8::1]")),
        (b"MAIL FROM:<x@localhost>", Path("x", "localhost")),
        (b"MAIL FROM:<x@under_score.example>", Path("x", "under_score.example")),
        ("MAIL FROM:<jürgen@bücher.example> SMTPUTF8".encode(), Path("jürgen", "bücher.example")),
    ],
)
def test_addresses_that_are_addresses(line: bytes, path: Path) -> None:
    command = understand(line)
    assert isinstance(command, Mail)
    assert command.sender == path


@pytest.mark.parametrize(
    "path",
    [
        b"<@us.example:a@b.example>",
        b"<@us.example,@them.example:a@b.example>",
        b"<a@b@us.example>",
        b"<a b@us.example>",
        b"<a@us.example",
        b"a@us.example",
        b"<<a@us.example>>",
        b"<a@us.example>x",
        b"<a@>",
        b"<@us.example>",
        b"<a>",
        b"<>",
        b"<.a@us.example>",
        b"<a..b@us.example>",
        b'<"a"b@us.example>',
        b'<"a@us.example>',
        b"<a@us_.-.example>",
        b"<a@-us.example>",
        b"<a@us..example>",
        b"<a@[192.0.2.1>",
        b"<a@us.example,b@us.example>",
        b"<a(comment)@us.example>",
        b"<" + b"a" * 65 + b"@us.example>",
        b"<a@" + b"b" * 260 + b">",
    ],
    ids=repr,
)
def test_what_is_not_one_address_is_refused(path: bytes) -> None:
    assert refusal(b"RCPT TO:" + path) == 501


CONTROLS = [b"\x00", b"\x01", b"\x07", b"\x0b", b"\x1b", b"\x7f", b"\t", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xae"]
BROKEN = [b"\xc0\xaf", b"\xed\xa0\x80", b"\xff", b"\xf4\x90\x80\x80", b"\xc3", b"\xe2\x80\x8b"]


@pytest.mark.parametrize("argument", [*CONTROLS, *BROKEN], ids=repr)
@pytest.mark.parametrize(
    "line",
    [b"EHLO a%bb", b"MAIL FROM:<a%bb@a.example> SMTPUTF8", b"RCPT TO:<a%bb@b.example>", b"VRFY a%bb", b"NOOP a%bb"],
)
def test_control_characters_and_broken_utf8_are_refused_everywhere(line: bytes, argument: bytes) -> None:
    assert refusal(line % argument) in {500, 501}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"MAIL FROM:<a@a.example> SIZE=", 501),
        (b"MAIL FROM:<a@a.example> SIZE=-1", 501),
        (b"MAIL FROM:<a@a.example> SIZE=1e9", 501),
        (b"MAIL FROM:<a@a.example> SIZE=" + b"9" * 21, 501),
        (b"MAIL FROM:<a@a.example> SIZE=1 SIZE=2", 501),
        (b"MAIL FROM:<a@a.example> BODY=BINARYMIME", 501),
        (b"MAIL FROM:<a@a.example> SMTPUTF8=yes", 501),
        (b"MAIL FROM:<a@a.example> RET=ALL", 501),
        (b"MAIL FROM:<a@a.example> ENVID=a+zz", 501),
        (b"MAIL FROM:<a@a.example> ENVID=" + b"a" * 101, 501),
        (b"MAIL FROM:<a@a.example> AUTH", 501),
        (b"MAIL FROM:<a@a.example> REQUIRETLS=YES", 501),
        (b"AUTH", 501),
        (b"AUTH PLAIN AAAA BBBB", 501),
        (b"MAIL FROM:<a@a.example> XYZZY=1", 555),
        (b"RCPT TO:<a@a.example> NOTIFY=NEVER,DELAY", 501),
        (b"RCPT TO:<a@a.example> NOTIFY=SOMETIMES", 501),
        (b"RCPT TO:<a@a.example> NOTIFY=DELAY,DELAY", 501),
        (b"RCPT TO:<a@a.example> ORCPT=nothing", 501),
        (b"RCPT TO:<a@a.example> RET=FULL", 555),
        ("MAIL FROM:<jürgen@a.example>".encode(), 553),
        (b"MAIL TO:<a@a.example>", 501),
        (b"MAIL", 501),
        (b"EHLO", 501),
        (b"EHLO a b", 501),
        (b"EHLO " + b"a" * 300, 501),
        (b"DATA now", 501),
        (b"QUIT now", 501),
        (b"VRFY", 501),
        (b"", 500),
        (b"EHLOx a", 500),
        (b"XCLIENT", 501),
        (b"XCLIENT ADDR=not-an-address", 501),
    ],
    ids=repr,
)
def test_what_is_not_a_command_is_refused(line: bytes, code: int) -> None:
    assert refusal(line) == code


def test_trailing_white_space_is_tolerated() -> None:
    assert understand(b"RSET  \t") == understand(b"rset")


@settings(max_examples=500)
@given(
    st.sampled_from([b"", b"MAIL FROM:", b"RCPT TO:<", b"EHLO ", b"BDAT ", b"XCLIENT ", b"MAIL FROM:<> "]),
    st.binary(max_size=80),
)
def test_every_line_is_a_command_or_misunderstood(start: bytes, noise: bytes) -> None:
    try:
        understand(start + noise)
    except Misunderstood as why:
        reply = why.reply
    else:
        return
    assert reply.code >= 500


def test_xtext_decodes_what_can_be_printed() -> None:
    assert from_xtext("a+2Bb+3D") == "a+b="
    assert from_xtext("a+0D+0Ab") == "a+0D+0Ab"


@given(st.text(max_size=2000))
def test_a_reply_can_not_be_split(text: str) -> None:
    wire = Reply(550, "5.7.1", text).encode()
    lines = wire.split(b"\r\n")
    assert lines.pop() == b""
    assert all(line[:3] == b"550" and line[4:9] == b"5.7.1" and len(line) <= 510 for line in lines)
    assert all(line[3:4] == b"-" for line in lines[:-1])
    assert lines[-1][3:4] == b" "
    assert not any(octet < 0x20 or octet > 0x7E for line in lines for octet in line)
