"""Who exists: organisations, domains, people, mailboxes, and the way from an address to a mailbox."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from carepost.base.address import Domain, EmailAddress
from carepost.base.ids import MailboxId, OrganisationId, PersonId


class OrganisationKind(StrEnum):
    SERVICE = "service"  # the platform itself, organisation 1
    PRACTICE = "practice"
    PHARMACY = "pharmacy"
    TRUST = "trust"
    DENTAL_PRACTICE = "dental practice"
    OPTICIAN = "optician"
    CARE_PROVIDER = "care provider"
    LOCAL_AUTHORITY = "local authority"
    OTHER = "other"


class OrganisationStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"  # nothing new may be created in it (R3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    id: OrganisationId
    code: str  # unique, ODS-style: "A81001"
    name: str
    kind: OrganisationKind
    status: OrganisationStatus
    parent: OrganisationId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailDomain:
    """One of our own. Without an owner it is shared by all organisations, as a national domain is."""

    domain: Domain
    owner: OrganisationId | None


class PersonStatus(StrEnum):
    """R17, without the transient states, which arrive with the jobs that need them."""

    INVITED = "invited"  # created; policy not accepted or second factor not set (R15: "pending")
    ACTIVE = "active"
    INACTIVE = "inactive"  # not used, or not activated in time (R16)
    LEAVER = "leaver"  # has left; may sign in until they join elsewhere
    LOCKED = "locked"  # by an administrator; a lock by failed sign-ins is temporary and not a status
    DISABLED = "disabled"
    DELETED = "deleted"  # restorable


# Who may have a session at all. An invited person may, to accept the policy and set a second factor: nothing else.
MAY_SIGN_IN = frozenset({PersonStatus.INVITED, PersonStatus.ACTIVE, PersonStatus.LEAVER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    id: PersonId
    organisation: OrganisationId
    given_name: str
    family_name: str
    title: str
    job_title: str
    status: PersonStatus
    acceptance_at: datetime | None
    second_factor_at: datetime | None
    mailbox: MailboxId | None
    address: EmailAddress | None

    @property
    def name(self) -> str:
        """As shown: "Dr Amina Okafor"."""
        return " ".join(part for part in (self.title, self.given_name, self.family_name) if part)


class MailboxKind(StrEnum):
    PERSONAL = "personal"
    SHARED = "shared"  # no password, cannot be signed in to (R50)
    RESOURCE = "resource"


class MailboxStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxRecord:
    id: MailboxId
    organisation: OrganisationId
    kind: MailboxKind
    person: PersonId | None  # whose, if personal
    address: EmailAddress
    display_name: str
    status: MailboxStatus
    intake_public: bytes | None
    not_for_urgent: bool


class MemberRight(StrEnum):
    MEMBER = "member"  # reads, sends, files, deletes (R52)
    OWNER = "owner"  # and adds and removes members and owners


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    mailbox: MailboxId
    person: PersonId
    right: MemberRight


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A membership with what a person needs to see that it is the right colleague (R55)."""

    person: PersonId
    name: str
    job_title: str
    right: MemberRight
    status: PersonStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxAccess:
    """A mailbox that a person may open; `right` is OWNER of their own."""

    mailbox: MailboxRecord
    right: MemberRight
    replies: bool = False  # it answers automatically at this moment (R60)


class RouteState(StrEnum):
    ACCEPTING = "accepting"
    PENDING = "pending"  # its holder has not finished joining (R15)
    CLOSED = "closed"  # kept for ever, so that nobody else is given the address (R14)
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRoute:
    """A row of address_route: where mail for one address goes."""

    address: EmailAddress
    organisation: OrganisationId
    mailbox: MailboxId
    kind: MailboxKind
    state: RouteState


class RefusalReason(StrEnum):
    NOT_ACTIVATED = "not activated"
    CLOSED = "closed"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Found:
    """Mail goes to `mailbox`. `address` is the one that was asked for, sub-address and all."""

    address: EmailAddress
    mailbox: MailboxId
    organisation: OrganisationId
    kind: MailboxKind


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody has this address. `ours` is False when not even the domain is: from outside, that would be relaying."""

    ours: bool = True


@dataclass(frozen=True, slots=True)
class Refusing:
    reason: RefusalReason


Route = Found | Unknown | Refusing


class DomainMatch(StrEnum):
    EXACT = "exact"
    SUFFIX = "suffix"  # itself and everything below it, by whole labels


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureDomain:
    """An entry of the register of secure domains (R102)."""

    domain: Domain
    match: DomainMatch
    source: str  # who accredited it, and under what
    accredited_at: datetime
    accredited_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureVerdict:
    """Whether mail to and from a domain counts as staying inside, and why."""

    secure: bool
    because: str
    entry: SecureDomain | None = None
    tls_exception: bool = False  # R107: excused from mandatory TLS, for what is not sensitive


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsException:
    """A domain on the register that is excused from mandatory TLS for a time (R107). Never for what is sensitive."""

    domain: Domain
    reason: str
    made_at: datetime
    until: datetime


class Role(StrEnum):
    """R37, the least that this release needs. Each has its row in access.MATRIX."""

    LOCAL_HELPDESK = "local helpdesk"
    LOCAL_ADMINISTRATOR = "local administrator"
    PRIMARY_LOCAL_ADMINISTRATOR = "primary local administrator"
    GLOBAL_HELPDESK = "global helpdesk"
    GLOBAL_ADMINISTRATOR = "global administrator"
    AUDITOR = "auditor"
