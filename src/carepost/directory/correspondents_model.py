"""The values of correspondents: whom a mailbox knows, what it knows of them, and the lines that it may choose from."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from carepost.base.address import EmailAddress
from carepost.base.ids import MailboxId, OrganisationId
from carepost.directory.repo_correspondents import DirectoryEntry
from carepost.infra.db import Transaction

_WORD = re.compile(r"[^\W_]+")


class MailboxPlace(Protocol):
    """Whatever knows which mailbox it is and whose."""

    @property
    def id(self) -> MailboxId: ...
    @property
    def organisation(self) -> OrganisationId: ...


@dataclass(frozen=True, slots=True)
class Place:
    id: MailboxId
    organisation: OrganisationId


class MailboxKey(Protocol):
    @property
    def key(self) -> bytes: ...


class MailboxKeys(Protocol):
    """Gives a mailbox's key to a role that may have it. The keystore has the real ones."""

    async def mailbox(self, tx: Transaction, mailbox: Place) -> MailboxKey: ...


class HowVerified(StrEnum):
    """R178: how somebody made sure that an address is this person's."""

    IN_PERSON = "in person"
    BY_TELEPHONE = "by telephone"
    BY_LETTER = "by letter"
    BY_CODE = "by code"
    BY_LINK = "by link"  # they said so themselves on the portal (R130): never noted by hand


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrespondentsPolicy:
    # Opened to search them: 2,000 take some 20 ms and 500 kB.
    opened_max: int = 2_000
    # Opened lists are remembered so long, in each process, for so many mailboxes: while somebody types a name.
    remember: timedelta = timedelta(seconds=20)
    remembered_max: int = 200
    # Pairs are noted of messages to at most so many: a newsletter is no company.
    company_max: int = 10
    together_max: int = 2_000
    # R178: staff are asked again after a year.
    verified_for: timedelta = timedelta(days=365)
    # Nobody written to for so long is a stranger again.
    kept_for: timedelta = timedelta(days=730)
    # Fewer letters find half the service.
    prefix_min: int = 2
    suggestions_max: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a mailbox knows of one address."""

    times: int = 0
    last_at: datetime | None = None
    consent_plain: bool = False
    patient: bool = False
    verified_at: datetime | None = None
    verified_how: HowVerified | None = None
    denied: bool = False  # they said that they are not who was meant (R130)

    def is_verified(self, now: datetime, policy: CorrespondentsPolicy | None = None) -> bool:
        policy = policy or CorrespondentsPolicy()
        return self.verified_at is not None and now - self.verified_at < policy.verified_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondent:
    """Somebody the mailbox has written to."""

    address: EmailAddress
    name: str
    times: int
    last_at: datetime | None


class Source(StrEnum):
    DIRECTORY = "directory"
    WRITTEN_TO = "written-to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """One line to choose from. `chip` is "inside", "secure" or "outside"; `warning` is for the eye, before choosing."""

    name: str
    address: EmailAddress
    organisation: str
    role: str
    initials: str
    chip: str
    source: Source
    times: int = 0
    warning: str = ""
    shared: bool = False


NOT_FOR_URGENT = "Not for urgent clinical advice"  # R62


def words_of(text: str) -> list[str]:
    """The words that somebody typed, as the directory keeps them: lower case, without accents, no domain."""
    plain = unicodedata.normalize("NFKD", text.partition("@")[0][:100]).lower()
    return _WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)))[:6]


def initials_of(name: str) -> str:
    """ "AO" for Ada Okafor: instead of a picture."""
    words = _WORD.findall(name)
    chosen = [words[0], words[-1]] if len(words) > 1 else words
    return "".join(word[0].upper() for word in chosen)


def listed(entry: DirectoryEntry, *, times: int = 0) -> Suggestion:
    return Suggestion(
        name=entry.name,
        address=entry.address,
        organisation=entry.organisation_name,
        role=entry.job,
        initials=initials_of(entry.name),
        chip="inside",
        source=Source.WRITTEN_TO if times else Source.DIRECTORY,
        times=times,
        warning=NOT_FOR_URGENT if entry.not_for_urgent else "",
        shared=entry.kind.value == "shared",
    )


def begins(one: Correspondent, words: Sequence[str]) -> bool:
    theirs = words_of(one.name) + words_of(one.address.local)
    return all(any(their.startswith(word) for their in theirs) for word in words)


def weight(one: Correspondent, now: datetime) -> float:
    """Often and lately: what was a month ago counts half."""
    days = (now - one.last_at).days if one.last_at else 365
    return float(one.times * 0.5 ** (max(0, days) / 30))
