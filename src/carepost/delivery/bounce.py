"""Who is told what became of a message, and in which words. PURE.

Promises
    Only somebody of ours is told, about a message that they sent: never a stranger, whatever a reverse-path says (P18).
    The null reverse-path is told of nothing. NOTIFY is obeyed: NEVER means never, SUCCESS only where it was asked for.
    One letter for all recipients that are settled together.

RFC 3461 §4.1, §6.2; RFC 5321 §6.1. Whoever follows what was sent lays the letter into the sender's mailbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from carepost.delivery.dispatch import Settled
from carepost.delivery.model import RecipientResult
from carepost.delivery.parcels import LastWord, Parcel, Recipient
from carepost.message.dsn import FULL_MAX, Dsn, DsnAction, DsnRecipient, Letter, write_dsn
from carepost.message.parse import parse

_WANTED = {
    Settled.DELIVERED: "SUCCESS",
    Settled.FAILED: "FAILURE",
    Settled.EXPIRED: "FAILURE",
    Settled.DELAYED: "DELAY",
}
# RFC 3461 §4.1: what a sender who says nothing wants.
_UNSAID = frozenset({"FAILURE", "DELAY"})
_STATUS = {
    Settled.DELIVERED: "2.0.0",
    Settled.FAILED: "5.0.0",
    Settled.EXPIRED: "5.4.7",
    Settled.DELAYED: "4.4.7",
}
_ACTIONS = {
    Settled.DELIVERED: DsnAction.RELAYED,
    Settled.FAILED: DsnAction.FAILED,
    Settled.EXPIRED: DsnAction.FAILED,
    Settled.DELAYED: DsnAction.DELAYED,
}

SECURE_LINK = "If it cannot wait, send it again as a secure link, or telephone."


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is to be told of one recipient."""

    to: Recipient
    outcome: Settled
    word: LastWord | None  # None: it was never tried
    stopped: bool = False  # by an operator, before its time was over

    @property
    def result(self) -> RecipientResult | None:
        return self.word.result if self.word else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounces:
    """Writes the letters."""

    hostname: str
    service: str = "Carepost"

    def letter(self, parcel: Parcel, news: Sequence[News], raw: bytes, *, now: datetime) -> bytes | None:
        """The letter that is owed for this news; None when nobody is to be told."""
        told = [one for one in news if is_owed(parcel, one)]
        if not told or parcel.reverse_path is None:
            return None
        full = parcel.ret == "FULL" and any(_ACTIONS[one.outcome] is DsnAction.FAILED for one in told)
        about = raw if full and len(raw) <= FULL_MAX else _header_of(raw)
        first = told[0]
        kind, number = first.outcome.value, f"{parcel.id}.{first.to.seq}.{first.to.attempts}"
        letter = Letter(
            from_=f'"{self.service}" <postmaster@{parcel.reverse_path.domain}>',
            to=parcel.reverse_path,
            about=parse(about),
            full=full,
            date=now,
            message_id=f"{kind}.{number}.{parcel.trace}@{self.hostname}",
            reference=parcel.trace,
        )
        dsn = Dsn(
            reporting=self.hostname,
            arrived=parcel.queued_at,
            recipients=[_recipient(parcel, one, now) for one in told],
            envid=parcel.envid,
        )
        return write_dsn(dsn, letter)


def is_owed(parcel: Parcel, news: News) -> bool:
    """Whether the sender is to be told of this by letter."""
    if parcel.reverse_path is None or parcel.outgoing is None or parcel.forwarded:
        return False
    if news.outcome not in _WANTED:
        return False
    if news.outcome is Settled.DELIVERED and news.result is not None and news.result.dsn_passed_on:
        return False
    return _WANTED[news.outcome] in (news.to.notify or _UNSAID)


def says(parcel: Parcel, news: News) -> str:
    """Why, in one plain sentence."""
    last = news.result.says if news.result else ""
    match news.outcome:
        case Settled.EXPIRED if news.stopped:
            return f"Who runs this mail service stopped it before it could be delivered. {last}".strip()
        case Settled.EXPIRED:
            days = max(1, round((parcel.expires_at - parcel.queued_at).total_seconds() / 86_400))
            tried = f"We tried for {days} {'day' if days == 1 else 'days'} and nobody took it."
            return f"{tried} {last}".strip()
        case Settled.DELAYED if not last:
            return "It has not been possible to try yet. It is kept and will be tried."
    return last or "The other system gave no reason."


def _recipient(parcel: Parcel, news: News, now: datetime) -> DsnRecipient:
    result, hop = news.result, news.word.evidence if news.word else None
    return DsnRecipient(
        address=news.to.address,
        action=_ACTIONS[news.outcome],
        status=_status(news),
        says="" if news.outcome is Settled.DELIVERED else says(parcel, news),
        advice=_advice(news),
        original=news.to.original,
        remote=result.host if result else "",
        diagnostic=result.reply if result and news.outcome is not Settled.DELIVERED else "",
        last_attempt=hop.at if hop else None,
        retry_until=parcel.expires_at if news.outcome is Settled.DELAYED and parcel.expires_at > now else None,
    )


def _status(news: News) -> str:
    """The class of a status must be that of the outcome, whatever the other system wrote. RFC 3463 §2."""
    wanted, given = _STATUS[news.outcome], news.result.enhanced if news.result else None
    if news.outcome is Settled.EXPIRED or not given:
        return wanted
    return given if given[0] == wanted[0] else wanted


def _advice(news: News) -> str:
    result = news.result
    if result is not None and result.tls_missing:
        return SECURE_LINK
    status = (result.enhanced or "") if result else ""
    match news.outcome:
        case Settled.DELIVERED:
            return ""
        case Settled.DELAYED:
            return "Nothing, unless it is urgent: then telephone. You are told if it cannot be delivered."
        case Settled.EXPIRED if news.stopped:
            return "Ask them why, with the reference below. Until then reach the recipient in another way."
        case Settled.EXPIRED:
            return "Reach them in another way, and ask whether their mail works."
    if status.startswith("5.1."):
        return "Check the address letter by letter, then send it again to the right one."
    if status == "5.2.2":
        return "Their mailbox is full. Tell them in another way, and send it again later."
    if status in {"5.3.4", "5.2.3"}:
        return "It is too large for them. Send it with smaller files, or as a secure link."
    if status.startswith("5.7."):
        return "Their system refuses such mail. Ask them, or send it as a secure link."
    return "Check the address. If it is right, reach them in another way and ask whether their mail works."


def _header_of(raw: bytes) -> bytes:
    end = raw.find(b"\r\n\r\n")
    return raw if end < 0 else raw[: end + 4]
