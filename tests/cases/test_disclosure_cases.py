"""Every file of disclosure/ is a text and what must be found in it. See disclosure/README.md."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.gateway import examination

from carepost.gateway.checks.disclosure import disclosure
from carepost.gateway.disclosure import CODES
from carepost.message.compose import compose

CASES = sorted((Path(__file__).parent / "disclosure").glob("*.txt"))


class BadCase(AssertionError):
    """A case that its author should look at again."""


def read_case(text: str) -> tuple[set[str], bytes]:
    head, line, body = text.partition("\n---\n")
    if not line:
        raise BadCase("a line with three dashes must part the text from what is said about it")
    said = {"where": "text"}
    for row in head.splitlines():
        if row.strip() and not row.startswith("#"):
            key, colon, value = row.partition(":")
            if not colon or key.strip() not in {"finds", "where"}:
                raise BadCase(f"not understood: {row}")
            said[key.strip()] = value.strip()
    finds = {code.strip() for code in said["finds"].split(",")} - {"nothing"}
    if finds - CODES:
        raise BadCase(f"no such code: {finds - CODES}")
    subject, words, files = "Hello", "Please see below.", []
    match said["where"]:
        case "text":
            words = body
        case "subject":
            subject = body.strip()
        case "file name":
            files = [(body.strip(), "text/plain", b"Good morning.")]
        case other:
            raise BadCase(f"no such place: {other}")
    raw = compose(
        "jo@riverside.example", "pat@webmail.example", subject, words, attachments=files,
        date=datetime(2026, 11, 22, tzinfo=UTC), message_id="<1@riverside.example>",
    )  # fmt: skip
    return finds, raw


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
async def test_a_case_comes_true(path: Path) -> None:
    finds, raw = read_case(path.read_text(encoding="utf-8"))
    found = await disclosure().look(examination(raw))
    assert {finding.code for finding in found} == finds, [finding.says for finding in found]


def test_there_are_cases_of_what_is_left_alone_too() -> None:
    assert sum("finds: nothing" in path.read_text(encoding="utf-8") for path in CASES) >= 10
