"""Whose name a message bears: one address or a fault, and never a guess (P12)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carepost.mailauth.author import Author, read_author
from carepost.mailauth.fields import split_message


def author_of(header: bytes) -> Author:
    return read_author(split_message(header + b"\r\n\r\nbody")[0])


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"From: jo@trust.nhs.uk", "jo@trust.nhs.uk"),
        (b"FROM:<jo@Trust.NHS.uk>", "jo@trust.nhs.uk"),
        (b"From: Jo Smith <jo@trust.nhs.uk>", "jo@trust.nhs.uk"),
        (b"From: Dr. J. Smith <jo.smith@trust.nhs.uk>", "jo.smith@trust.nhs.uk"),
        (b'From: "Smith, Jo (Ward \\"7\\")" <jo@trust.nhs.uk>', "jo@trust.nhs.uk"),
        (b"From: jo@trust.nhs.uk (Jo (of Ward 7))", "jo@trust.nhs.uk"),
        (b"From: (Ward 7) jo@trust.nhs.uk", "jo@trust.nhs.uk"),
        (b"From: =?utf-8?B?Sm8=?= <jo@trust.nhs.uk>", "jo@trust.nhs.uk"),
        (b"From: Jo\r\n Smith\r\n\t<jo@trust.nhs.uk>", "jo@trust.nhs.uk"),
        (b'From: "jo smith"@trust.nhs.uk', '"jo smith"@trust.nhs.uk'),
        (b"From : jo@trust.nhs.uk", "jo@trust.nhs.uk"),
        ("From: Jö <jö@bücher.example>".encode(), "jö@xn--bcher-kva.example"),
        (b"From: J\xf6 <jo@trust.nhs.uk>", "jo@trust.nhs.uk"),
        (b"From: jo@trust.nhs.uk <jo@trust.nhs.uk>", "jo@trust.nhs.uk"),
        (b"From: < jo@trust.nhs.uk >", "jo@trust.nhs.uk"),
        (b"From: jo@[192.0.2.1]", "jo@[192.0.2.1]"),
    ],
)
def test_one_plain_address_is_the_author(header: bytes, address: str) -> None:
    assert author_of(header) == Author(address, (address.rpartition("@")[2],))


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: none",
        b"From:",
        b"From: Jo",
        b"From: <>",
        b"From: undisclosed:;",
        b"From: ward: jo@trust.nhs.uk, al@trust.nhs.uk;",
        b"From: ward: jo@trust.nhs.uk;",
        b"From: a@one.example, b@two.example",
        b"From: a@one.example,",
        b"From: a@one.example\r\nFrom: a@one.example",
        b"From: a@one.example\r\nFrom : b@two.example",
        b"From: a@one.example\r\nFrom\r\n : b@two.example",
        b"From: <@one.example,@two.example:b@three.example>",
        b"From: <@one.example:b@three.example>",
        b"From: <a@one.example>\\,<b@two.example>",
        b"From: <a@one.example> b@two.example",
        b"From: a@one.example <b@two.example>",
        b"From: <a@one.example><b@two.example>",
        b"From: a@one.example@two.example",
        b"From: =?utf-8?B?PGFAb25lLmV4YW1wbGU+?=,<b@two.example>",
        b"From: =?utf-8?q?a=40one.example?=@two.example",
        b"From: a@one.example\x00.two.example",
        b"From: a@one.example(.two.example",
        b"From: a@(x)one.example",
        b"From: a (x)@one.example",
        b"From: a @one.example",
        b"From: a@one. example",
        b"From: a@one.example b",
        b'From: "a@one.example',
        b"From: (" + b"(" * 50 + b"a@one.example",
        b"From: a@one..example",
        b"From: .a@one.example",
        b"From: a@-",
        b"From: a@b\r.example",
        b"From: a@[192.0.2.1",
        b"From: \xff\xfe@one.example",
        b"From: a@one.example" + b" " * 20000,
    ],
    ids=lambda header: repr(header[:60]),
)
def test_whatever_two_readers_could_read_differently_is_a_fault(header: bytes) -> None:
    author = author_of(header)
    assert author.fault
    assert author.address == ""
    assert len(author.domains) != 1, "what is in doubt must never look like one author to DMARC"


def test_the_domains_of_a_doubtful_author_are_told_for_their_policies() -> None:
    assert author_of(b"From: a@one.example, b@two.example").domains == ("one.example", "two.example", "")


@settings(max_examples=500, deadline=None)
@given(value=st.text(alphabet='ab@.<>()",;:\\[] \t=?\r\n\x00é', max_size=60))
def test_no_from_field_whatever_it_holds_raises_or_gives_two_domains(value: str) -> None:
    author = author_of(b"From: " + value.encode())
    assert author.fault or len(author.domains) == 1
