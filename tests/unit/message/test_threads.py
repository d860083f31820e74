"""Base subjects (RFC 5256 §2.1) and thread keys."""

import pytest

from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.message.threads import base_subject, thread_key


@pytest.mark.parametrize(
    "subject",
    [
        "Clinic",
        "Re: Clinic",
        "RE: re: Clinic",
        "Fwd: Clinic",
        "Fw: Clinic (fwd)",
        "[list] Re: [x] Clinic",
        "Re[2]: clinic",
        "[Fwd: Clinic]",
        "AW: WG: Clinic",
        "  Re:\tClinic  ",
    ],
)
def test_answers_and_forwards_have_the_subject_of_what_they_answer(subject: str) -> None:
    assert base_subject(subject) == "clinic"


@pytest.mark.parametrize(
    ("subject", "base"), [("[only]", "[only]"), ("Re:", ""), ("", ""), ("Results", "results"), ("Refer: x", "refer: x")]
)
def test_words_that_only_look_like_leaders_stay(subject: str, base: str) -> None:
    assert base_subject(subject) == base


def _key(raw: bytes) -> str:
    return summarise(parse(raw)).thread_key


def test_a_reply_has_the_key_of_what_it_answers() -> None:
    first = _key(b"Message-ID: <1@x>\r\nSubject: a\r\n\r\n")
    assert _key(b"Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\nSubject: Re: a\r\n\r\n") == first
    assert _key(b"Message-ID: <3@x>\r\nReferences: <1@x> <2@x>\r\nSubject: other\r\n\r\n") == first
    assert _key(b"Message-ID: <4@x>\r\nSubject: a\r\n\r\n") != first


def test_without_identifiers_the_subject_joins() -> None:
    assert _key(b"Subject: a\r\n\r\n") == _key(b"Subject: Re: A\r\n\r\n")


def test_a_key_is_sixteen_bytes_in_hex() -> None:
    key = thread_key(subject="", message_id=None, references=())
    assert len(bytes.fromhex(key)) == 16
