"""Notices and codes: what they hold, and above all what they do not."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed, NotPossible
from carepost.message.parse import parse
from carepost.portal.invitations import Letterhead, confirmation, invitation, notice
from carepost.portal.texting import FileTexts, HttpTexts, NoTexts

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
LINK = "https://secure.riverside.example/m/abc.def"


def head(name: str = "Riverside Medical Practice") -> Letterhead:
    return Letterhead(
        organisation_name=name,
        writer=EmailAddress.parse("secure-messages@riverside.example"),
        to=EmailAddress.parse("pat@webmail.example"),
        at=NOW,
    )


@pytest.mark.parametrize("write", [notice, invitation, confirmation])
def test_a_notice_names_the_organisation_and_holds_one_link_and_nothing_else(write: object) -> None:
    raw = write(head(), link=LINK, expires_at=NOW + timedelta(days=28))  # type: ignore[operator]
    message = parse(raw)
    kinds = [part.media_type for _, part in message.leaves()]
    assert kinds == ["text/plain", "text/html"]
    for _, part in message.leaves():
        text = message.text(part)
        assert set(re.findall(r"https?://[^\s\"<]+", text)) == {LINK}
        assert "Riverside Medical Practice" in text
        assert "20 December 2026" in text
        assert "<img" not in text
    assert "Riverside Medical Practice" in message.subject
    assert message.first("auto-submitted") == b"auto-generated"


def test_a_name_of_an_organisation_cannot_write_a_header_or_markup() -> None:
    with pytest.raises(Malformed):
        notice(head("Riverside\r\nBcc: x@y.example"), link=LINK, expires_at=NOW)
    raw = notice(head("<script>x</script>"), link=LINK, expires_at=NOW)
    html = next(part for _, part in parse(raw).leaves() if part.media_type == "text/html")
    assert "<script>" not in parse(raw).text(html)


async def test_texts_go_to_a_file_to_https_only_or_nowhere(tmp_path: Path) -> None:
    await FileTexts(tmp_path / "texts.txt").send("+447700900123", "12345678 is your code")
    assert json.loads((tmp_path / "texts.txt").read_text()) == {"to": "+447700900123", "text": "12345678 is your code"}
    with pytest.raises(NotPossible):
        HttpTexts(url="http://provider.example/send", token="t")
    with pytest.raises(NotPossible):
        await NoTexts().send("+447700900123", "x")
