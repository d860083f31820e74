"""Letters of the service to its own people about what they send: a question, a reminder, bad news. PURE.

Promises
    Says what happened, why, and what to do next, with a link; holds nothing of the message but its subject and whom it
    is for, and goes to nobody outside.
    Marked as automatic, so that nothing answers it (RFC 3834 §5).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from carepost.base.address import EmailAddress
from carepost.base.ids import OutgoingId, TraceId
from carepost.gateway.out.outgoing import Choice, Question
from carepost.message.compose import compose
from carepost.message.showing import clean

_SUBJECT_MAX = 80
_SHOWN = 20  # addresses in one letter
_CHOICES = {
    Choice.CONFIRM: "confirm that it is meant so",
    Choice.REASON: "say why it is meant so",
    Choice.BCC: "hide the recipients from each other (Bcc)",
    Choice.INDIVIDUALLY: "send each of them a message of their own",
    Choice.PORTAL: "use the secure link instead",
    Choice.LEAVE_OUT: "leave these recipients out",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """Who writes, and where the pages are."""

    service: str
    postmaster: EmailAddress
    pages: str  # "https://mail.example.org": no slash at the end

    def link(self, outgoing: OutgoingId) -> str:
        return f"{self.pages}/outgoing/{int(outgoing)}"


def ask(
    head: Letterhead,
    to: EmailAddress,
    *,
    outgoing: OutgoingId,
    trace: TraceId,
    subject: str,
    questions: Sequence[Question],
    at: datetime,
    again: bool = False,
) -> bytes:
    """What must be answered before it leaves. `again`: a reminder."""
    opening = "It is still waiting for you." if again else "It has not been sent yet: we need an answer from you first."
    lines = [
        f"Your message “{_shown(subject)}” was not sent.",
        "",
        f"{opening} Nothing is lost.",
        "",
    ]
    for number, question in enumerate(questions, 1):
        lines += [f"{number}. {question.title}", ""]
        lines += [f"   {one}" for one in question.says[:_SHOWN]]
        lines += [f"   {question.because}"] if question.because else []
        lines += [f"   It is about: {_people(question.recipients)}"]
        lines += [f"   You can {_choices(question.choices)}.", ""]
    lines += [
        "Answer, change or cancel it here:",
        head.link(outgoing),
        "",
        "If you do nothing, it is kept here and is not sent to anybody.",
        f"Reference {trace}.",
    ]
    what = "Still not sent" if again else "Not sent yet"
    return _letter(head, to, f"{what}: {_shown(subject)}", lines, at=at, salt=f"ask.{trace}.{int(again)}")


def bad_news(
    head: Letterhead,
    to: EmailAddress,
    *,
    outgoing: OutgoingId,
    trace: TraceId,
    subject: str,
    failed: Iterable[tuple[EmailAddress, str]],
    at: datetime,
) -> bytes:
    """Who did not get it, and why."""
    failed = list(failed)
    lines = [f"Your message “{_shown(subject)}” did not reach everybody.", ""]
    for address, says in failed[:_SHOWN]:
        lines += [f"{address}", f"   {says}", ""]
    if len(failed) > _SHOWN:
        lines += [f"… and {len(failed) - _SHOWN} more; all of them are on the page.", ""]
    lines += [
        "If it matters to somebody's care, telephone them now.",
        "",
        "See it, change it and send it again here:",
        head.link(outgoing),
        f"Reference {trace}.",
    ]
    numbers = ",".join(str(address) for address, _ in failed)
    return _letter(head, to, f"Not delivered: {_shown(subject)}", lines, at=at, salt=f"failed.{trace}.{numbers}")


def let_go(
    head: Letterhead,
    to: EmailAddress,
    *,
    outgoing: OutgoingId,
    trace: TraceId,
    subject: str,
    people: Sequence[EmailAddress],
    reason: str,
    at: datetime,
) -> bytes:
    """What was held is on its way."""
    lines = [
        f"Your message “{_shown(subject)}” was held for a person to look at. An administrator has let it go.",
        "",
        f"It is on its way to: {_people(people)}",
        f"They wrote: {reason}",
        "",
        "You need do nothing. Where it stands for each recipient:",
        head.link(outgoing),
        f"Reference {trace}.",
    ]
    numbers = ",".join(str(one) for one in people)
    return _letter(head, to, f"Let go: {_shown(subject)}", lines, at=at, salt=f"let-go.{trace}.{numbers}")


def _letter(
    head: Letterhead, to: EmailAddress, subject: str, lines: Sequence[str], *, at: datetime, salt: str
) -> bytes:
    name = hashlib.sha256(salt.encode()).hexdigest()[:32]
    return compose(
        f'"{head.service}" <{head.postmaster}>',
        [to],
        subject,
        "\n".join(lines) + "\n",
        date=at,
        message_id=f"{name}@{head.postmaster.domain}",
        extra_headers=[("Auto-Submitted", "auto-generated"), ("X-Carepost-Letter", "outgoing")],
    )


def _shown(subject: str) -> str:
    text = " ".join(clean(subject).split()) or "no subject"
    return text if len(text) <= _SUBJECT_MAX else text[: _SUBJECT_MAX - 1] + "…"


def _people(people: Sequence[EmailAddress]) -> str:
    more = f" and {len(people) - _SHOWN} more" if len(people) > _SHOWN else ""
    return ", ".join(str(one) for one in people[:_SHOWN]) + more


def _choices(choices: Sequence[Choice]) -> str:
    said = [_CHOICES[one] for one in choices]
    return " or ".join(said) if said else "change it or cancel it"
