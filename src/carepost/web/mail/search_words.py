"""PURE. What a person types into the search box, read.

    blood test from:sam to:results subject:"discharge summary" has:attachment is:unread after:2026-11-01 in:archive

Promises
    Nothing that is typed is an error: a word with a colon that we do not know is looked for as it stands.
    Days are the reader's days; `before:` excludes the day, `after:` includes it, as people mean it.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from carepost.store.model import Flag
from carepost.store.search import Query
from carepost.store.search_index import ATTACHMENT_MARK, Field, Term

TERMS_MAX = 20  # More words than anybody types; each costs a look into the index.

_WORD = re.compile(r'(?:([a-z]+):)?(?:"([^"]*)"?|(\S+))', re.IGNORECASE)
_FIELDS = {"from": Field.SENDER, "to": Field.RECIPIENTS, "subject": Field.SUBJECT}
_FLAGS = {
    ("is", "unread"): (Flag.SEEN, 0),
    ("is", "read"): (Flag.SEEN, Flag.SEEN),
    ("is", "flagged"): (Flag.FLAGGED, Flag.FLAGGED),
    ("is", "answered"): (Flag.ANSWERED, Flag.ANSWERED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A query for the store, and the folder by name when one was asked for."""

    query: Query
    folder: str | None
    is_empty: bool


def read_words(text: str, zone: tzinfo) -> Wanted:
    terms: list[Term] = []
    mask = value = 0
    after: datetime | None = None
    before: datetime | None = None
    folder: str | None = None
    for match in _WORD.finditer(text):
        name = (match[1] or "").lower()
        words = match[2] if match[2] is not None else match[3]
        if (flags := _FLAGS.get((name, words.lower()))) is not None:
            mask, value = mask | flags[0], value | flags[1]
        elif name == "has" and words.lower() in {"attachment", "attachments"}:
            terms.append(Term(ATTACHMENT_MARK, Field.MARKS))
        elif name == "in" and words:
            folder = words
        elif name == "after" and (day := _day(words)):
            after = datetime(day.year, day.month, day.day, tzinfo=zone)
        elif name == "before" and (day := _day(words)):
            before = datetime(day.year, day.month, day.day, tzinfo=zone)
        elif name in _FIELDS and words:
            terms.append(Term(words, _FIELDS[name]))
        elif words:
            terms.append(Term(f"{match[1]}:{words}" if name else words))
    query = Query(terms=tuple(terms[:TERMS_MAX]), after=after, before=before, mask=mask, value=value)
    empty = not terms and not mask and after is None and before is None and folder is None
    return Wanted(query=query, folder=folder, is_empty=empty)


def _day(words: str) -> date | None:
    """2026-11-22, 22/11/2026 (British order), or a number of days ago such as 7d."""
    for pattern, order in ((r"(\d{4})-(\d{1,2})-(\d{1,2})", (1, 2, 3)), (r"(\d{1,2})/(\d{1,2})/(\d{4})", (3, 2, 1))):
        if match := re.fullmatch(pattern, words, re.ASCII):
            try:
                day = date(*(int(match[at]) for at in order))
            except ValueError:
                return None
            return day if date(1970, 1, 2) < day < date(9998, 1, 1) - timedelta(days=1) else None
    return None
