"""Fields by kind: unfolding, dates, message identifiers (RFC 5322 §3.3, §3.6.4).

Promises
    None of these raises; what can't be read is None or empty, and linear in its input.
    A date is aware. "-0000" is UTC (RFC 5322 §3.3).
"""

import re
from datetime import UTC, datetime, timedelta, timezone

from carepost.message.addresses import (
    Address,
    Group,
    Mailbox,
    addresses_of,
    each,
    name_lies,
    read_addresses,
    shown_name,
)
from carepost.message.parameters import WHITE

__all__ = [
    "Address",
    "Group",
    "Mailbox",
    "addresses_of",
    "each",
    "message_ids",
    "name_lies",
    "read_addresses",
    "read_date",
    "shown_name",
    "unfold",
]

IDS_MAX = 200  # a thread longer than that is cut in the middle by everyone's mail program too
ID_MAX = 998  # RFC 5322 §2.1.1: it can't be folded inside
_CONSIDERED = 65_536
_DATE_CONSIDERED = 300

_ID = re.compile(r"<\s*([^<>\s][^<>]{0,997})>", re.ASCII)
_DATE = re.compile(
    r"(?:[A-Za-z]{2,9}\.?\s*,?\s*)?(\d{1,2})[\s-]+([A-Za-z]{3})[A-Za-z]{0,6}\.?[\s,-]+(\d{2,4})"
    r"[\s,]+(\d{1,2})[:.](\d{1,2})(?:[:.](\d{1,2}))?(?:\.\d{1,9})?\s*([+-]\d{4}|[+-]\d{1,2}:\d{2}|[A-Za-z]{1,5})?"
)
# asctime's order: Sat Nov 22 10:00:00 2025
_ASCTIME = re.compile(
    r"(?:[A-Za-z]{3,9},?\s+)?([A-Za-z]{3})[a-z]{0,6}\s+(\d{1,2}),?\s+(\d{1,2}):(\d{2})(?::(\d{2}))?\s+(?:([A-Z]{1,5}|[+-]\d{4})\s+)?(\d{4})"
    r"(?:\s+([+-]\d{4}))?"
)
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})[T\s](\d{2}):(\d{2})(?::(\d{2}))?(?:\.\d{1,9})?\s*(Z|[+-]\d{2}:?\d{2})?")
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
# RFC 5322 §4.3. Military letters were defined the wrong way round: all of them mean -0000.
_ZONES = {
    "EST": -300,
    "EDT": -240,
    "CST": -360,
    "CDT": -300,
    "MST": -420,
    "MDT": -360,
    "PST": -480,
    "PDT": -420,
    "BST": 60,
    "CET": 60,
    "CEST": 120,
}


def unfold(raw: bytes) -> bytes:
    """A field's value on one line, outer space gone; other bytes untouched. RFC 5322 §2.2.3."""
    if b"\n" in raw:
        raw = raw.replace(b"\r\n", b"").replace(b"\n", b"")
    return raw.strip(b" \t\r\n")


def read_date(raw: bytes) -> datetime | None:
    """A date-time, obsolete and common wrong forms included; None when there is none."""
    text = raw[:_DATE_CONSIDERED].decode("latin-1").partition("(")[0].strip()
    if found := _DATE.match(text):
        day, month, year, hour, minute, second, zone = found.groups()
    elif found := _ASCTIME.match(text):
        month, day, hour, minute, second, zone, year, late_zone = found.groups()
        zone = late_zone or zone
    elif found := _ISO.match(text):
        year, month, day, hour, minute, second, zone = found.groups()
    else:
        return None
    number = int(month) if month.isdigit() else _MONTHS.get(month.lower(), 0)
    try:
        at = datetime(
            _year(year), number, int(day), int(hour), int(minute), min(int(second or 0), 59), tzinfo=_zone(zone)
        )
        at.astimezone(UTC)  # year 1 with an offset has no UTC form
    except (ValueError, OverflowError):
        return None
    return at


def _year(digits: str) -> int:
    """RFC 5322 §4.3: two and three digits."""
    number = int(digits)
    if len(digits) == 2:
        return number + (2000 if number < 50 else 1900)
    return number + 1900 if len(digits) == 3 else number


def _zone(zone: str | None) -> timezone:
    if not zone:
        return UTC
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "").rjust(4, "0")
        minutes = int(digits[:2]) * 60 + int(digits[2:])
        if minutes >= 24 * 60 or not minutes:
            return UTC
        return timezone(timedelta(minutes=minutes if zone[0] == "+" else -minutes))
    minutes = _ZONES.get(zone.upper(), 0)
    return timezone(timedelta(minutes=minutes)) if minutes else UTC


def message_ids(raw: bytes, limit: int = IDS_MAX) -> tuple[str, ...]:
    """Every `<…>` of an unfolded value, brackets kept. Beyond `limit` the first and the last ones stay.

    The root of a thread comes first and the direct parent last (RFC 5322 §3.6.4): the middle is what can be spared.
    """
    text = raw.decode("latin-1")
    if len(text) > _CONSIDERED:
        text = text[: _CONSIDERED // 2] + " " + text[-_CONSIDERED // 2 :]
    ids = ["<" + found.rstrip(WHITE) + ">" for found in _ID.findall(text)]
    if len(ids) > limit:
        ids = ids[:1] + ids[-(limit - 1) :]
    return tuple(ids)
