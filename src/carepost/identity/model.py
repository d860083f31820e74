"""Proving that it is you: the values that sign-in, sessions and app passwords speak in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from carepost.base.ids import AppPasswordId, OrganisationId, PersonId, SessionId
from carepost.directory.model import PersonStatus


class Door(StrEnum):
    WEB = "web"
    IMAP = "imap"
    SUBMISSION = "submission"


class Scope(StrEnum):
    """What an app password opens. Its doors, and no others."""

    IMAP = "imap"
    SUBMISSION = "submission"

    @property
    def door(self) -> Door:
        return Door(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFacts:
    """What a door knows about whoever stands before it. `device` is the token of a device we have met before."""

    address: IPv4Address | IPv6Address | None
    name: str = ""  # "Firefox on Windows": shown to the person, never decided on
    device: str | None = None
    door: Door = Door.WEB


@dataclass(frozen=True, slots=True)
class NeedsSecondFactor:
    """The password was right. `known_device` is for the page: "shared computer" is preset on unknown ones (R194)."""

    ticket: str
    known_device: bool


@dataclass(frozen=True, slots=True)
class NeedsSetUp:
    """The password was right and there is no second factor yet: it has to be set before anything else (R15, R94)."""

    ticket: str
    known_device: bool


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """One sentence for every cause: it does not tell who has an account."""

    says: str = "The address or the password is not right."


@dataclass(frozen=True, slots=True)
class Throttled:
    """Nothing was checked. Says the same whether or not the account exists."""

    wait_seconds: int
    locked: bool

    @property
    def says(self) -> str:
        if not self.locked:
            return f"Too many attempts. Please wait {self.wait_seconds} seconds and try again."
        minutes = -(-self.wait_seconds // 60)
        return (
            f"Too many attempts: signing in is locked for {minutes} more minute{'' if minutes == 1 else 's'}. "
            "Your service desk can unlock it sooner."
        )


SignInResult = NeedsSecondFactor | NeedsSetUp | NotAccepted | Throttled


@dataclass(frozen=True, slots=True)
class CodeNotAccepted:
    """`again` is False when the ticket is spent: sign-in begins anew."""

    again: bool
    says: str = "That code is not right, or has been used already. Wait for the next one and try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that is signed in. `must_change_password` and an INVITED status bar everything but putting it right."""

    id: SessionId
    person: PersonId
    organisation: OrganisationId
    name: str
    address: str  # the person's own mail address
    status: PersonStatus
    shared_computer: bool
    must_change_password: bool
    created_at: datetime
    absolute_until: datetime
    idle_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionToken:
    """What the browser gets: `token` for its session cookie, `device` (unless shared) for the long-lived one."""

    token: str
    device: str | None
    session: SessionId
    person: PersonId
    organisation: OrganisationId
    shared_computer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLine:
    """One of a person's sessions, for the page that lists and ends them (ASVS 7.5.2)."""

    id: SessionId
    created_at: datetime
    last_used_at: datetime
    address: str | None
    client: str
    shared_computer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Whoever an app password let in."""

    person: PersonId
    organisation: OrganisationId
    app_password: AppPasswordId
    name: str  # the person's
    device: str  # what they called the device


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPasswordLine:
    """One app password as its holder sees it; the secret is never shown again."""

    id: AppPasswordId
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    last_used_from: str | None
    revoked_at: datetime | None


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    WRONG_PASSWORD = "wrong password"  # noqa: S105 - a name
    WRONG_CODE = "wrong code"
    THROTTLED = "throttled"
    LOCKED = "locked"
    NOT_ALLOWED = "not allowed"  # the password was right; the person may not sign in
    UNLOCKED = "unlocked"  # the service desk wiped the slate


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try. `password_mark` is a coarse mark of a wrong password, kept for known devices only (R86)."""

    at: datetime
    outcome: Outcome
    device: bytes | None = None
    password_mark: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLine:
    """One try as its person or the service desk sees it (R87)."""

    at: datetime
    outcome: Outcome
    door: Door
    address: str | None
    client: str
    device: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInPolicy:
    # Between the password and the code: time to find the telephone.
    ticket_life: timedelta = timedelta(minutes=5)
    # Wrong codes on one ticket; then the password is asked for again.
    ticket_tries: int = 5
    # R87: how long tries are kept.
    attempts_kept: timedelta = timedelta(days=30)
    # A device not seen for this long is unknown again.
    device_life: timedelta = timedelta(days=180)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    # R99, R194: a ward computer that somebody walked away from.
    shared_idle: timedelta = timedelta(minutes=15)
    shared_absolute: timedelta = timedelta(hours=12)
    # R99: one working day on a managed device.
    own_idle: timedelta = timedelta(hours=12)
    own_absolute: timedelta = timedelta(hours=12)
    # Use is noted at most this often: pages need not each write a row.
    touch_every: timedelta = timedelta(seconds=60)
