"""Whether a message goes to whom it was meant for: what a careful colleague would say before it leaves. PURE.

Promises
    Looks and says; who may send what is for the cards (`policies/care`) to decide.
    One sentence for each mistake: an address that is wrong in three ways is told about once, the gravest first.
    What is well known to the sender is never called strange: familiarity is counted, not guessed.
    Bounded: 500 recipients against 2,000 known addresses take a fraction of a second.

R62, R72, R104, R140, R147, R149, R151, R157. How often each rule is right is counted, and measured on made-up traffic:
docs/explain/recipients.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from carepost.base.address import Domain, EmailAddress
from carepost.gateway.model import Finding
from carepost.gateway.out.recipients_policy import RecipientsPolicy
from carepost.message.lookalikes import edits, looks_like, name_key, to_the_eye

CHECK = "recipients"
_TYPED = 3  # letters that people type before they take a line of the list


class Rule(StrEnum):
    """The codes of the findings; each is counted by this name."""

    FIRST_TIME = "first-time"  # an outsider not written to before, and something that matters in it
    NAMESAKE = "namesake"  # somebody else here of the same or nearly the same name is the one they usually write to
    LIKE_NAMED = "like-named"  # never written to, and found by the same letters as somebody well known
    NAME_ELSEWHERE = "name-elsewhere"  # named as a colleague or contact is, at another address
    ADDRESS_LOOKALIKE = "address-lookalike"  # one or two letters from an address they know
    DOMAIN_LOOKALIKE = "domain-lookalike"  # at a domain that imitates one we know
    UNUSUAL_COMPANY = (
        "unusual-company"  # never written to together with the others, as somebody of a like name often was
    )
    FREE_MAIL_TWIN = "free-mail-twin"  # a colleague's name at a free mail provider
    LEAVER = "leaver"
    OUTSIDER_ADDED = "outsider-added"  # to a conversation that had none of their organisation
    TOO_MANY_OUTSIDERS = "too-many-outsiders"  # visible to each other
    FAR_TOO_MANY_OUTSIDERS = "far-too-many-outsiders"
    VISIBLE_PATIENTS = "visible-patients"
    MANY_DOMAINS = "many-domains"
    REPLY_ALL_SIZE = "reply-all-size"
    BCC_REPLY = "bcc-reply"
    UNVERIFIED_PATIENT = "unverified-patient-address"
    NOT_FOR_URGENT = "not-for-urgent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquaintance:
    """Somebody the sender might have meant: a correspondent of the mailbox, or a person of the directory."""

    address: EmailAddress
    name: str = ""
    organisation: str = ""  # its name, when it is one of ours
    role: str = ""
    times: int = 0  # how often the mailbox has written to them


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientView:
    """One recipient, with what is known about them."""

    address: EmailAddress
    name: str = ""  # as the message calls them, or the directory does
    inside: bool = False  # one of our own domains
    secure: bool = False  # inside, or on the register
    visible: bool = True  # in To or Cc
    times: int | None = 0  # how often the mailbox has written to them; None: could not be found out
    received: int = 0  # how often they have written to it
    on_thread: bool = False  # from or to them was the message that this one answers
    left: bool = False  # their account here is a leaver's, or gone
    patient: bool = False
    verified: bool = True  # R178: within a year; of patients' addresses only
    confirmed: bool = False  # they said within a year that this is them (R130)
    denied: bool = False  # they said that this is not them
    not_for_urgent: bool = False  # R62
    organisation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientsView:
    """One message's recipients, and what they are compared with. Built by `gateway/out/recipients_view.py`."""

    sender: EmailAddress
    recipients: tuple[RecipientView, ...]
    # Whom the mailbox has written to, best known first, and people of the directory with a recipient's display name.
    known: tuple[Acquaintance, ...] = ()
    namesakes: tuple[Acquaintance, ...] = ()
    # How often two addresses (keys, in order) were written to in one message; those of this message's recipients.
    together: Mapping[tuple[str, str], int] = field(default_factory=lambda: MappingProxyType({}))
    known_domains: frozenset[Domain] = frozenset()  # ours and the register's
    sensitive: bool | None = False  # None: not found out
    attachments: bool = False
    answers: bool = False  # it is a reply or forwards one
    reply_all: bool = False
    was_bcc: bool = False  # the mailbox was a hidden recipient of what it answers


def look_at_recipients(view: RecipientsView, policy: RecipientsPolicy | None = None) -> list[Finding]:
    """Every reason to ask the sender, the gravest first. No finding names a recipient twice for the same mistake."""
    policy = policy or RecipientsPolicy()
    compared = _Compared.of(view, policy)
    found = [finding for one in view.recipients for finding in _about_one(one, view, compared, policy)]
    found += _about_all(view, policy)
    return sorted(found, key=lambda finding: -finding.weight)


# --- one recipient --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Compared:
    """What recipients are compared with, arranged so that each comparison is short."""

    times: Mapping[str, int]
    by_name: Mapping[str, Sequence[Acquaintance]]
    by_domain: Mapping[Domain, Sequence[Acquaintance]]
    domains: frozenset[Domain]
    _imitated: dict[Domain, Domain | None] = field(default_factory=dict)

    @classmethod
    def of(cls, view: RecipientsView, policy: RecipientsPolicy) -> "_Compared":
        by_name: dict[str, list[Acquaintance]] = {}
        by_domain: dict[Domain, list[Acquaintance]] = {}
        familiar = [one for one in view.known if one.times >= policy.familiar_times]
        for one in (*familiar, *view.namesakes):
            if key := name_key(one.name or _name_in(one.address)):
                by_name.setdefault(key, []).append(one)
        for one in familiar:
            by_domain.setdefault(one.address.domain, []).append(one)
        domains = view.known_domains | (by_domain.keys() - policy.free_mail)
        times = {one.address.key: one.times for one in view.known}
        return cls(times, MappingProxyType(by_name), MappingProxyType(by_domain), frozenset(domains))

    def imitated_by(self, domain: Domain) -> Domain | None:
        if domain not in self._imitated:
            self._imitated[domain] = None if domain in self.domains else looks_like(domain, self.domains)
        return self._imitated[domain]


def _about_one(one: RecipientView, view: RecipientsView, known: _Compared, policy: RecipientsPolicy) -> list[Finding]:
    found = []
    if one.left:
        says = f"{one.address} belongs to somebody who has left: they may not read it any more."
        found.append(_finding(Rule.LEAVER, 2, says, one))
    if one.denied:
        says = f"Whoever reads {one.address} was asked, and answered that they are not the person you meant."
        found.append(_finding(Rule.UNVERIFIED_PATIENT, 2, says, one))
    elif one.patient and not one.verified:
        says = f"Nobody has checked within the last year that {one.address} is still this patient's own address."
        found.append(_finding(Rule.UNVERIFIED_PATIENT, 2, says, one))
    if one.not_for_urgent:
        says = f"{one.name or one.address} is not for urgent clinical advice: nobody may look at it for hours."
        found.append(_finding(Rule.NOT_FOR_URGENT, 0, says, one))
    if is_stranger(one, policy) and (mistaken := _mistaken(one, view, known, policy)) is not None:
        found.append(mistaken)
    elif (odd := _unusual_company(one, view, policy)) is not None:
        found.append(odd)
    return found


def is_stranger(one: RecipientView, policy: RecipientsPolicy) -> bool:
    """Whether the mailbox has no history with them. What could not be found out counts as none."""
    return not one.on_thread and (one.times or 0) < policy.familiar_times and one.received < policy.familiar_times


def _mistaken(one: RecipientView, view: RecipientsView, known: _Compared, policy: RecipientsPolicy) -> Finding | None:
    """The gravest reason to think that somebody else was meant."""
    return (
        _imitation(one, known)
        or _twin(one, known, policy)
        or _other_of_that_name(one, known, policy)
        or _mistyped(one, known, policy)
        or _like_named(one, view, policy)
        or _added(one, view, policy)
        or _first_time(one, view)
    )


def _imitation(one: RecipientView, known: _Compared) -> Finding | None:
    domain = one.address.domain
    if one.secure or (like := known.imitated_by(domain)) is None:
        return None
    says = f"{one.address} is at {domain}, which looks like {like} and is not."
    return _finding(Rule.DOMAIN_LOOKALIKE, 3, says, one, instead=f"{one.address.local}@{like}")


def _twin(one: RecipientView, known: _Compared, policy: RecipientsPolicy) -> Finding | None:
    """A colleague's name at a free mail provider: their private address at best."""
    if one.address.domain not in policy.free_mail:
        return None
    for key in (name_key(one.name), name_key(_name_in(one.address))):
        for other in known.by_name.get(key, ()):
            if " " in key and other.address.domain not in policy.free_mail and other.address.key != one.address.key:
                says = (
                    f"{one.address} is a private address at a free mail provider, with the name of {_called(other)}."
                    " Did you mean that address?"
                )
                return _finding(Rule.FREE_MAIL_TWIN, 3, says, one, instead=str(other.address))
    return None


def _other_of_that_name(one: RecipientView, known: _Compared, policy: RecipientsPolicy) -> Finding | None:
    key = name_key(one.name or _name_in(one.address))
    if " " not in key:
        return None
    others = [other for other in known.by_name.get(key, ()) if other.address.key != one.address.key]
    best = max(others, key=lambda other: known.times.get(other.address.key, other.times), default=None)
    if best is None:
        return None
    times = known.times.get(best.address.key, best.times)
    if one.inside or one.secure:
        # Both are real people: only when the other is the one they write to is this likely to be a slip.
        if times < policy.well_known_times:
            return None
        says = f"You have not written to {_named(one)} before. You usually write to {_called(best)}."
        return _finding(Rule.NAMESAKE, 3, says, one, instead=str(best.address))
    says = f"{one.address} has the name of {_called(best)} and is another address."
    return _finding(Rule.NAME_ELSEWHERE, 3, says, one, instead=str(best.address))


def _mistyped(one: RecipientView, known: _Compared, policy: RecipientsPolicy) -> Finding | None:
    """One or two letters from somebody whom the mailbox writes to."""
    local = _bare(one.address.local)
    if len(local) < policy.compared_from:
        return None
    most = 2 if len(local) >= policy.two_edits_from else 1
    shown = to_the_eye(local)
    for other in known.by_domain.get(one.address.domain, ()):
        theirs = _bare(other.address.local)
        if theirs == local or len(theirs) < policy.compared_from:
            continue
        near = edits(local, theirs, most)
        if near is not None and (
            near == 1 or _same_but_digits(local, theirs) or other.times >= policy.well_known_times
        ):
            says = f"{one.address} is nearly {_called(other)}, whom you have written to {_times(other.times)}."
            return _finding(Rule.ADDRESS_LOOKALIKE, 3, says, one, instead=str(other.address))
        if shown == to_the_eye(theirs):
            says = f"{one.address} looks the same as {_called(other)} and is another address."
            return _finding(Rule.ADDRESS_LOOKALIKE, 3, says, one, instead=str(other.address))
    return None


def _unusual_company(one: RecipientView, view: RecipientsView, policy: RecipientsPolicy) -> Finding | None:
    """The wrong line of the list that opens while one types: a like name, in whose place another usually stands."""
    if one.on_thread or not _matters(view):
        return None
    others = [other.address.key for other in view.recipients if other.address.key != one.address.key]
    if not others or len(others) > policy.company_max or any(_met(view, one.address.key, other) for other in others):
        return None
    present = {other.address.key for other in view.recipients}
    for meant in view.known:
        if meant.address.key in present or meant.times < policy.well_known_times or not _typed_alike(one, meant):
            continue
        usual = sum(_met(view, meant.address.key, other) >= policy.company_times for other in others)
        if 2 * usual > len(others):
            says = f"{_named(one)} has not been written to together with the others before; {_called(meant)} often has."
            return _finding(Rule.UNUSUAL_COMPANY, 2, says, one, instead=str(meant.address))
    return None


def _met(view: RecipientsView, one: str, other: str) -> int:
    return view.together.get((one, other) if one < other else (other, one), 0)


def _typed_alike(one: RecipientView, other: Acquaintance) -> bool:
    """Whether the same first letters find both."""
    mine, theirs = (
        {word[:_TYPED] for word in f"{name} {_name_in(address)}".casefold().split() if len(word) >= _TYPED}
        for name, address in ((one.name, one.address), (other.name, other.address))
    )
    return not mine.isdisjoint(theirs)


def _like_named(one: RecipientView, view: RecipientsView, policy: RecipientsPolicy) -> Finding | None:
    """The wrong line of the list, again: a stranger who stands below somebody whom they write to all the time."""
    if not _matters(view) or (one.times or 0) > 0 or one.received > 0 or not (one.inside or one.secure):
        return None
    present = {other.address.key for other in view.recipients}
    alike = [
        other
        for other in view.known
        if other.times >= policy.often_times and other.address.key not in present and _typed_alike(one, other)
    ]
    if not alike:
        return None
    meant = max(alike, key=lambda other: other.times)
    says = f"You have not written to {_named(one)} before. Did you mean {_called(meant)}, to whom you often write?"
    return _finding(Rule.LIKE_NAMED, 2, says, one, instead=str(meant.address))


def _added(one: RecipientView, view: RecipientsView, policy: RecipientsPolicy) -> Finding | None:
    """Somebody outside is let into a conversation that had nobody of theirs."""
    if not view.reply_all or one.inside or one.secure or not _matters(view):
        return None
    if one.address.domain not in policy.free_mail and any(
        other.on_thread and other.address.domain == one.address.domain for other in view.recipients
    ):
        return None
    says = f"{one.address} was not in this conversation, and will read all that is quoted in it."
    return _finding(Rule.OUTSIDER_ADDED, 2, says, one)


def _first_time(one: RecipientView, view: RecipientsView) -> Finding | None:
    if one.inside or one.secure or one.confirmed or not _matters(view) or (one.times or 0) > 0 or one.received > 0:
        return None
    what = "patient or personal details" if view.sensitive is not False else "an attachment"
    says = f"Nobody has written to {one.address} from this mailbox before, and this message has {what} in it."
    return _finding(Rule.FIRST_TIME, 2 if view.sensitive is not False else 1, says, one)


def _matters(view: RecipientsView) -> bool:
    return view.sensitive is not False or view.attachments


# --- all of them together -------------------------------------------------------------------------------------------


def _about_all(view: RecipientsView, policy: RecipientsPolicy) -> Iterable[Finding]:
    outside = [one for one in view.recipients if not one.inside]
    seen = [one for one in outside if one.visible]
    patients = [one for one in view.recipients if one.patient and one.visible]
    if len(patients) > 1 or (patients and len(seen) > policy.outsiders_max):
        says = f"{len(patients)} patients would see each other's addresses. Each has to get a message of their own."
        yield _finding(Rule.VISIBLE_PATIENTS, 3, says, count=len(patients))
    if len(seen) >= policy.outsiders_stop:
        says = f"{len(seen)} people outside would see each other's addresses. That many need Bcc, or one message each."
        yield _finding(Rule.FAR_TOO_MANY_OUTSIDERS, 3, says, count=len(seen))
    elif len(seen) > policy.outsiders_max:
        says = f"{len(seen)} people outside would see each other's addresses. Should they?"
        yield _finding(Rule.TOO_MANY_OUTSIDERS, 2, says, count=len(seen))
    domains = {one.address.domain for one in outside if not one.on_thread}
    if len(domains) > policy.domains_max:
        says = f"It goes to {len(domains)} different organisations outside."
        yield _finding(Rule.MANY_DOMAINS, 1, says, count=len(domains))
    if view.reply_all and len(view.recipients) > policy.reply_all_max:
        says = f"This reply goes to {len(view.recipients)} people. Do all of them need it?"
        yield _finding(Rule.REPLY_ALL_SIZE, 1, says, count=len(view.recipients))
    if view.reply_all and view.was_bcc:
        says = "You were sent a hidden copy (Bcc). Your reply to all would show the others that you had it."
        yield _finding(Rule.BCC_REPLY, 2, says)


# --- words ----------------------------------------------------------------------------------------------------------


def _finding(rule: Rule, weight: int, says: str, one: RecipientView | None = None, **facts: str | int) -> Finding:
    if one is not None:
        facts["recipient"] = str(one.address)
    return Finding(code=rule.value, weight=weight, says=says, check=CHECK, facts=MappingProxyType(dict(facts)))


def _called(one: Acquaintance) -> str:
    about = ", ".join(part for part in (one.role, one.organisation) if part)
    named = f"{one.name} ({one.address})" if one.name else str(one.address)
    return f"{named}, {about}" if about else named


def _named(one: RecipientView) -> str:
    named = f"{one.name} ({one.address})" if one.name else str(one.address)
    return f"{named}, {one.organisation}," if one.organisation else named


def _times(times: int) -> str:
    return "once" if times == 1 else f"{times} times"


def _bare(local: str) -> str:
    return local.lower().split("+", 1)[0]


def _name_in(address: EmailAddress) -> str:
    """ "ada.okafor3" may well be Ada Okafor; "aokafor" tells nothing."""
    return _bare(address.local).rstrip("0123456789").replace(".", " ").replace("_", " ").replace("-", " ")


def _same_but_digits(first: str, second: str) -> bool:
    return first.strip("0123456789") == second.strip("0123456789")
