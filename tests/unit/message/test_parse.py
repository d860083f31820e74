"""A message becomes parts, as offsets into its own bytes."""

from carepost.message.model import Defect
from carepost.message.parse import parse
from carepost.message.summary import decode, encode, summarise

LETTER = b"""\
From: "Dr A. Shah" <a.shah@riverside.example>\r
To: ward7@trust.example\r
Subject: Discharge\r
Message-ID: <1@riverside.example>\r
Date: Sun, 22 Nov 2026 10:00:00 +0000\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary="b"\r
\r
preamble\r
--b\r
\r
Please see attached.\r
--b\r
Content-Type: application/pdf; name="letter.pdf"\r
Content-Transfer-Encoding: base64\r
Content-Disposition: attachment; filename="letter.pdf"\r
\r
JVBERi0xLjQ=\r
--b--\r
epilogue\r
"""


def test_a_letter_with_an_attachment_has_two_leaves_with_section_numbers() -> None:
    message = parse(LETTER)
    leaves = list(message.leaves())
    assert [(path, part.media_type) for path, part in leaves] == [("1", "text/plain"), ("2", "application/pdf")]
    assert message.text(leaves[0][1]) == "Please see attached."
    assert message.body_bytes(leaves[1][1]) == b"%PDF-1.4"
    assert leaves[1][1].filename == "letter.pdf"
    assert message.defects == frozenset()


def test_a_summary_survives_its_encoding() -> None:
    summary = summarise(parse(LETTER))
    assert decode(encode(summary)) == summary
    assert summary.attachments == [("2", "letter.pdf", "application/pdf", 12)]
    assert summary.sender_name == "Dr A. Shah"
    assert summary.preview == "Please see attached."


def test_a_message_without_an_author_says_so() -> None:
    assert Defect.NO_FROM in parse(b"Subject: x\r\n\r\nhello\r\n").defects
