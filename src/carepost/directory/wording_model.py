"""Signatures and templates as values: words with blanks, and what a blank is filled with. PURE.

Promises
    A blank that nobody knows is refused when the words are kept, so that none is ever sent as it stands.
    A line whose blanks are all empty for somebody is left out: nobody signs with "Role:".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from carepost.base.errors import Malformed
from carepost.base.ids import MailboxId, PersonId

# What may stand in braces, and what a page says it is.
BLANKS: Mapping[str, str] = {
    "name": "who writes: the person, or the shared mailbox",
    "role": "their job title",
    "practice": "the organisation's name",
    "address": "the email address that it is sent from",
    "today": "the day on which it is put in",
}
OWN = "own"  # in an organisation's signature: where people's own lines go
_BLANK = re.compile(r"\{([^{}\n]{0,40})\}")
# RFC 3676 §4.3: what parts a signature from the text. The space belongs to it.
SEPARATOR = "-- "


class WordingKind(StrEnum):
    SIGNATURE = "signature"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordingPolicy:
    """How much of it there may be."""

    name_max: int = 100
    # Some forty lines: more is a letter, and is attached.
    template_max: int = 20_000
    # RFC 3676 has four lines in mind; a practice with two sites and opening hours has ten.
    signature_max: int = 1_500
    signature_lines_max: int = 20
    # Of one mailbox, or of the organisation: all are opened to sort them by name.
    templates_max: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    id: int
    kind: WordingKind
    mailbox: MailboxId | None  # None: the organisation's
    name: str
    text: str
    allows_own: bool
    version: int
    changed_by: PersonId | None
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What the blanks are filled with."""

    name: str
    role: str
    practice: str
    address: str
    today: str

    def value(self, blank: str) -> str:
        return {
            "name": self.name,
            "role": self.role,
            "practice": self.practice,
            "address": self.address,
            "today": self.today,
        }[blank]


def blanks_in(text: str) -> list[str]:
    return [found.strip().lower() for found in _BLANK.findall(text)]


def checked(kind: WordingKind, name: str, text: str, *, whose: str, policy: WordingPolicy) -> tuple[str, str]:
    """Name and text as they are kept. `whose` is "organisation" or "mailbox". Raises Malformed, with what to mend."""
    name, text = " ".join(name.split()), "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
    if kind is WordingKind.TEMPLATE and not 0 < len(name) <= policy.name_max:
        raise Malformed(f"Give the template a name of at most {policy.name_max} characters.")
    if not text.strip():
        raise Malformed("There are no words in it yet.")
    most = policy.template_max if kind is WordingKind.TEMPLATE else policy.signature_max
    if len(text) > most:
        raise Malformed(f"It is too long: {len(text)} characters, and {most} are possible.")
    if kind is WordingKind.SIGNATURE and len(text.splitlines()) > policy.signature_lines_max:
        raise Malformed(f"A signature has at most {policy.signature_lines_max} lines.")
    known = set(BLANKS) | ({OWN} if kind is WordingKind.SIGNATURE and whose == "organisation" else set())
    if strange := [one for one in blanks_in(text) if one not in known]:
        could = ", ".join("{" + one + "}" for one in sorted(known))
        raise Malformed(f"Nobody knows what to put for {{{strange[0]}}}. What can be filled in: {could}.")
    return name, text


def filled(text: str, filling: Filling) -> str:
    """With its blanks filled; a line with nothing but empty ones in it goes."""
    lines = []
    for line in text.splitlines():
        found = [one for one in blanks_in(line) if one in BLANKS]
        if found and not any(filling.value(one) for one in found):
            continue
        lines.append(_BLANK.sub(lambda match: _put(match, filling), line).rstrip())
    return "\n".join(lines)


def _put(match: re.Match[str], filling: Filling) -> str:
    blank = match[1].strip().lower()
    return filling.value(blank) if blank in BLANKS else match[0]


def signature(organisation: Wording | None, own: Wording | None, filling: Filling) -> str:
    """What stands under a message of a mailbox; empty for nothing. R164.

    The organisation's lines, with the mailbox's own where the organisation says {own}, else under them; where it allows
    none, they are left out. Without an organisation's, the mailbox's own.
    """
    if organisation is None:
        return filled(own.text, filling) if own is not None else ""
    lines = own.text if own is not None and organisation.allows_own else ""
    if OWN in blanks_in(organisation.text):
        whole = _BLANK.sub(lambda m: lines if m[1].strip().lower() == OWN else m[0], organisation.text)
    else:
        whole = f"{organisation.text}\n{lines}" if lines else organisation.text
    return filled(whole, filling).strip("\n")
