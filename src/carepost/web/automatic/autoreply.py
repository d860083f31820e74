"""The automatic reply of a mailbox: its holder's, or its owners'. R60, R61, R163."""

from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from carepost.base.errors import MailError
from carepost.directory.access import Verb
from carepost.directory.autoreply import Autoreplies, Autoreply
from carepost.directory.model import MailboxKind
from carepost.web.forms import Form
from carepost.web.sealing import SaidNote
from carepost.web.shell import Door, On, Visit

_PATH = "/mailbox/{mailbox:int}/autoreply"
_TEXT_MAX = 10_000
# What a refusal is about -> the field it stands at.
_FIELDS = (
    ("telephone", "telephone"),
    ("working days", "chase_days"),
    ("subject", "subject"),
    ("end before", "ends_at"),
    ("characters", "inside"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoreplyPages:
    autoreplies: Autoreplies

    def doors(self) -> list[Door]:
        verb, on = Verb.MAILBOX_AUTOREPLY, On.MAILBOX
        return [
            Door(path=_PATH, method="GET", name="autoreply", enter=self.look, verb=verb, on=on),
            Door(path=_PATH, method="POST", name="autoreply.set", enter=self.set, verb=verb, on=on),
        ]

    async def look(self, visit: Visit) -> Response:
        reply = await self.autoreplies.get(visit.me.actor, visit.mailbox().mailbox)
        return self._show(visit, Form(values=_values(visit, reply)), reply)

    async def set(self, visit: Visit) -> Response:
        form, mailbox = visit.form, visit.mailbox().mailbox
        days = form.text("chase_days")
        if days and form.number("chase_days") is None:
            form.wrong("chase_days", "Give the number of working days as digits, or leave it empty")
        wanted = Autoreply(
            is_on=form.text("on") == "yes",
            inside=form.words("inside", _TEXT_MAX),
            outside=form.words("outside", _TEXT_MAX),
            to_outside=form.text("to_outside") == "yes",
            subject=form.text("subject") or Autoreply().subject,
            telephone=form.text("telephone"),
            chase_days=form.number("chase_days") or None,
            starts_at=_time(visit, "starts_at"),
            ends_at=_time(visit, "ends_at"),
        )
        if form.is_right:
            try:
                await self.autoreplies.set(visit.me.actor, mailbox, wanted)
            except MailError as error:
                says = error.public
                form.wrong(next((field for word, field in _FIELDS if word in says), "inside"), says)
        if not form.is_right:
            return self._show(visit, form, wanted)
        says = "Saved. The automatic reply is on." if wanted.is_on else "Saved. The automatic reply is off."
        return visit.go(f"/mailbox/{mailbox.id}/autoreply", SaidNote(says))

    def _show(self, visit: Visit, form: Form, reply: Autoreply) -> Response:
        mailbox = visit.mailbox().mailbox
        page = visit.page_again if form.errors else visit.page
        return page(
            "automatic/autoreply.html",
            title="Automatic reply",
            form=form,
            mailbox=mailbox,
            shared=mailbox.kind is MailboxKind.SHARED,
            reply=reply,
            inside=reply.text_for(inside=True),
            outside=reply.text_for(inside=False),
        )


def _values(visit: Visit, reply: Autoreply) -> dict[str, str]:
    zone = visit.house.policy.zone

    def shown(at: datetime | None) -> str:
        return at.astimezone(zone).strftime("%Y-%m-%dT%H:%M") if at else ""

    return {
        "on": "yes" if reply.is_on else "",
        "inside": reply.inside,
        "outside": reply.outside,
        "to_outside": "yes" if reply.to_outside else "",
        "subject": reply.subject,
        "telephone": reply.telephone,
        "chase_days": str(reply.chase_days or ""),
        "starts_at": shown(reply.starts_at),
        "ends_at": shown(reply.ends_at),
    }


def _time(visit: Visit, name: str) -> datetime | None:
    """In the service's own time; what is no time is an error of the field."""
    typed = visit.form.text(name)
    if not typed:
        return None
    try:
        at = datetime.fromisoformat(typed)
    except ValueError:
        visit.form.wrong(name, "Give the day and the time, as 2026-12-24T17:00")
        return None
    return at if at.tzinfo else at.replace(tzinfo=visit.house.policy.zone)
