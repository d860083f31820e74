"""Who may do what: one door, `authorize`, and the published matrix it reads. PURE.

Promises
    Whatever is not in MATRIX is refused; a new verb without a row cannot be used.
    No role of administration opens a mailbox's content: only its holder and its members do (R41).
    A person who has not finished joining may see to their own account and nothing else (R15).
    A local role reaches its own organisation and no further (R38-R40).

How it is read: from the person's rights and the thing asked about follow their *standings*; a verb names the standings
that are enough, and one of them suffices.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Self, assert_never

from carepost.base.errors import NotAllowed
from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.directory.model import MailboxRecord, MemberRight, PersonStatus, Role


class Verb(StrEnum):
    MAILBOX_READ = "mailbox.read"
    MAILBOX_WRITE = "mailbox.write"  # flags, filing, folders, append
    MAILBOX_DELETE = "mailbox.delete"  # messages, that is
    MAILBOX_SEND = "mailbox.send"
    MAILBOX_AUTOREPLY = "mailbox.autoreply"  # the automatic reply: looked at and changed
    MAILBOX_FORWARD = "mailbox.forward"  # ask for forwarding, look at it, end it
    MAILBOX_MANAGE_MEMBERS = "mailbox.manage_members"
    MAILBOX_SEE_MEMBERS = "mailbox.see_members"
    MAILBOX_CREATE = "mailbox.create"
    MAILBOX_CLOSE = "mailbox.close"
    PERSON_READ = "person.read"  # the directory entry
    PERSON_CREATE = "person.create"
    PERSON_SET_STATUS = "person.set_status"
    PERSON_RESET_PASSWORD = "person.reset_password"  # noqa: S105 - a verb
    PERSON_UNLOCK = "person.unlock"
    PERSON_REVOKE_SESSIONS = "person.revoke_sessions"
    PERSON_SEE_SIGN_INS = "person.see_sign_ins"
    PERSON_ALLOW_MAIL_CLIENTS = "person.allow_mail_clients"  # R193
    OWN_ACCOUNT = "own.account"  # password, second factor, sessions, policy, app passwords already allowed
    ROLE_GRANT_LOCAL = "role.grant_local"
    ROLE_GRANT_ANY = "role.grant_any"
    ORGANISATION_READ = "organisation.read"
    ORGANISATION_CREATE = "organisation.create"
    ORGANISATION_CLOSE = "organisation.close"
    DOMAIN_ADD = "domain.add"
    SECURE_DOMAIN_EDIT = "secure_domain.edit"
    AUP_PUBLISH = "acceptable_use.publish"
    OUTGOING_RULES_EDIT = "outgoing_rules.edit"  # what the organisation asks of mail that leaves it (R159)
    WORDING_EDIT = "wording.edit"  # the organisation's signature and templates; a mailbox's own follow mailbox.send
    FORWARDING_ALLOW = "forwarding.allow"  # R162
    QUARANTINE_REVIEW = "quarantine.review"
    QUARANTINE_RELEASE = "quarantine.release"
    TRACE_READ = "trace.read"
    QUEUE_TEND = "queue.tend"  # try at once, hold back, give up, send again: never read
    CERTIFICATE_KEEP = "certificate.keep"  # a mailbox's S/MIME certificate: add, list, remove
    AUDIT_READ = "audit.read"


class Standing(StrEnum):
    """What somebody is to the thing they ask about."""

    SELF = "self"  # it is their own account
    COLLEAGUE = "colleague"  # of the same organisation
    HOLDER = "holder"  # of a personal mailbox
    MEMBER = "member"  # of a shared mailbox
    OWNER = "owner"  # of a shared mailbox
    LOCAL_HELPDESK = "local helpdesk"
    LOCAL_ADMINISTRATOR = "local administrator"
    PRIMARY_LOCAL_ADMINISTRATOR = "primary local administrator"
    GLOBAL_HELPDESK = "global helpdesk"
    GLOBAL_ADMINISTRATOR = "global administrator"
    AUDITOR = "auditor"
    OPERATOR = "operator"  # at the command line of the machine


_S = Standing
_CONTENT = frozenset({_S.HOLDER, _S.MEMBER, _S.OWNER})
_GLOBAL = frozenset({_S.GLOBAL_ADMINISTRATOR, _S.OPERATOR})
_ADMINISTRATORS = _GLOBAL | {_S.LOCAL_ADMINISTRATOR, _S.PRIMARY_LOCAL_ADMINISTRATOR}
_DESKS = _ADMINISTRATORS | {_S.LOCAL_HELPDESK, _S.GLOBAL_HELPDESK}

# R37-R41, R52, R192. docs and the page "who may do what" show this table; tests name every cell of it.
MATRIX: Mapping[Verb, frozenset[Standing]] = MappingProxyType(
    {
        Verb.MAILBOX_READ: _CONTENT,
        Verb.MAILBOX_WRITE: _CONTENT,
        Verb.MAILBOX_DELETE: _CONTENT,
        Verb.MAILBOX_SEND: _CONTENT,
        # Who falls ill has not switched it on: administrators may, and open no mail by it.
        Verb.MAILBOX_AUTOREPLY: _ADMINISTRATORS | {_S.HOLDER, _S.OWNER},
        Verb.MAILBOX_FORWARD: _ADMINISTRATORS | {_S.HOLDER, _S.OWNER},
        Verb.MAILBOX_MANAGE_MEMBERS: _ADMINISTRATORS | {_S.OWNER},
        Verb.MAILBOX_SEE_MEMBERS: _DESKS | {_S.MEMBER, _S.OWNER},
        Verb.MAILBOX_CREATE: _ADMINISTRATORS,
        Verb.MAILBOX_CLOSE: _ADMINISTRATORS,
        Verb.PERSON_READ: _DESKS | {_S.SELF, _S.COLLEAGUE},
        Verb.PERSON_CREATE: _ADMINISTRATORS,
        Verb.PERSON_SET_STATUS: _ADMINISTRATORS,
        Verb.PERSON_RESET_PASSWORD: _DESKS,
        Verb.PERSON_UNLOCK: _DESKS,
        Verb.PERSON_REVOKE_SESSIONS: _DESKS | {_S.SELF},
        Verb.PERSON_SEE_SIGN_INS: _DESKS | {_S.SELF},
        Verb.PERSON_ALLOW_MAIL_CLIENTS: _ADMINISTRATORS,
        Verb.OWN_ACCOUNT: frozenset({_S.SELF}),
        Verb.ROLE_GRANT_LOCAL: _GLOBAL | {_S.PRIMARY_LOCAL_ADMINISTRATOR},
        Verb.ROLE_GRANT_ANY: _GLOBAL,
        Verb.ORGANISATION_READ: _DESKS | {_S.COLLEAGUE},
        Verb.ORGANISATION_CREATE: _GLOBAL,
        Verb.ORGANISATION_CLOSE: _GLOBAL,
        Verb.DOMAIN_ADD: _GLOBAL,
        Verb.SECURE_DOMAIN_EDIT: _GLOBAL,
        Verb.AUP_PUBLISH: _GLOBAL,
        Verb.OUTGOING_RULES_EDIT: _ADMINISTRATORS,
        Verb.WORDING_EDIT: _ADMINISTRATORS,
        Verb.FORWARDING_ALLOW: _ADMINISTRATORS,
        Verb.QUARANTINE_REVIEW: _DESKS,
        Verb.QUARANTINE_RELEASE: _ADMINISTRATORS,
        Verb.TRACE_READ: _DESKS,
        Verb.QUEUE_TEND: _ADMINISTRATORS,
        Verb.CERTIFICATE_KEEP: _ADMINISTRATORS,
        Verb.AUDIT_READ: frozenset({_S.AUDITOR}),
    }
)

# What a person may do before they have accepted the policy and set a second factor.
_WHILE_INVITED = frozenset({Verb.OWN_ACCOUNT})
_LOCAL = frozenset(
    {
        Role.LOCAL_HELPDESK,
        Role.LOCAL_ADMINISTRATOR,
        Role.PRIMARY_LOCAL_ADMINISTRATOR,
        Role.AUDITOR,
    }
)


_APPOINTED_LOCALLY = _LOCAL - {Role.AUDITOR}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRights:
    """What one person is and holds, as loaded a moment ago by `Directory.rights_of`."""

    person: PersonId | None
    organisation: OrganisationId | None
    status: PersonStatus | None
    roles: frozenset[Role] = frozenset()
    personal: MailboxId | None = None
    shared: Mapping[MailboxId, MemberRight] = field(default_factory=lambda: MappingProxyType({}))
    operator: bool = False

    @classmethod
    def of_operator(cls) -> Self:
        """Whoever runs commands on the machine itself. They hold no mailbox."""
        return cls(person=None, organisation=None, status=None, operator=True)


@dataclass(frozen=True, slots=True)
class OnMailbox:
    mailbox: MailboxId
    organisation: OrganisationId

    @classmethod
    def of(cls, record: MailboxRecord) -> Self:
        return cls(record.id, record.organisation)


@dataclass(frozen=True, slots=True)
class OnPerson:
    person: PersonId
    organisation: OrganisationId


@dataclass(frozen=True, slots=True)
class OnOrganisation:
    """The organisation itself, or what it holds that has no owner of its own: quarantine, trace, record."""

    organisation: OrganisationId


@dataclass(frozen=True, slots=True)
class OnPlatform:
    """What belongs to the whole service."""


Thing = OnMailbox | OnPerson | OnOrganisation | OnPlatform


def authorize(rights: AccessRights, verb: Verb, thing: Thing) -> None:
    """Return if it may be done; raise NotAllowed if not. The one door: every verb of every protocol asks here."""
    if not is_allowed(rights, verb, thing):
        raise NotAllowed("You are not allowed to do this.", verb=verb.value, person=rights.person)


def is_allowed(rights: AccessRights, verb: Verb, thing: Thing) -> bool:
    """The same question, for a page that decides what to show."""
    if not rights.operator and not _status_permits(rights.status, verb):
        return False
    return not standings(rights, thing).isdisjoint(MATRIX[verb])


def standings(rights: AccessRights, thing: Thing) -> frozenset[Standing]:
    """Everything that this person is to this thing."""
    found: set[Standing] = set()
    if rights.operator:
        found.add(Standing.OPERATOR)
    match thing:
        case OnMailbox(mailbox, organisation):
            if organisation == rights.organisation:
                found |= _to_mailbox(rights, mailbox)
        case OnPerson(person, organisation):
            if person == rights.person and organisation == rights.organisation:
                found.add(Standing.SELF)
        case OnOrganisation(organisation):
            pass
        case OnPlatform():
            return frozenset(found | {_of_role(role) for role in rights.roles - _LOCAL})
        case _:
            assert_never(thing)
    at_home = rights.organisation is not None and organisation == rights.organisation
    if at_home:
        found.add(Standing.COLLEAGUE)
    found |= {_of_role(role) for role in rights.roles if at_home or role not in _LOCAL}
    return frozenset(found)


def outranks(rights: AccessRights, others: frozenset[Role]) -> bool:
    """Whether somebody may touch the account of a person who holds the roles `others`.

    Global roles and auditors are for global administrators, local ones for primary local administrators: else a
    helpdesk that resets a password could become anybody.
    """
    if not others or rights.operator or Role.GLOBAL_ADMINISTRATOR in rights.roles:
        return True
    return Role.PRIMARY_LOCAL_ADMINISTRATOR in rights.roles and others <= _APPOINTED_LOCALLY


def _to_mailbox(rights: AccessRights, mailbox: MailboxId) -> set[Standing]:
    if rights.personal is not None and mailbox == rights.personal:
        return {Standing.HOLDER}
    match rights.shared.get(mailbox):
        case MemberRight.OWNER:
            return {Standing.OWNER}
        case MemberRight.MEMBER:
            return {Standing.MEMBER}
        case None:
            return set()


def _of_role(role: Role) -> Standing:
    return Standing(role.value)


def _status_permits(status: PersonStatus | None, verb: Verb) -> bool:
    match status:
        case PersonStatus.ACTIVE | PersonStatus.LEAVER:
            return True
        case PersonStatus.INVITED:
            return verb in _WHILE_INVITED
        case PersonStatus.INACTIVE | PersonStatus.LOCKED | PersonStatus.DISABLED | PersonStatus.DELETED | None:
            return False
        case _:
            assert_never(status)
