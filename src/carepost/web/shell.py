"""The way into every page: who is asking, may they, is the form ours; and what they are told when something is wrong.

Promises
    Every route is a Door that names who may use it; there is no other way to add one (STYLE.md, Proof).
    A form is looked at only if it carries our proof, bound to the browser's cookie, and comes from our own origin.
    An error page says what happened, why, and what to do next; it never says what only the log may know.
    Somebody who is not allowed to know that a mailbox exists is told the same as when it does not.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from urllib.parse import quote, urlencode

from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from carepost.base.errors import Broken, MailError, Malformed, NotAllowed, NotPossible, TryLater
from carepost.base.ids import MailboxId
from carepost.directory.access import OnMailbox, OnOrganisation, OnPerson, Thing, Verb, authorize
from carepost.directory.model import MailboxAccess
from carepost.infra.log import get_logger
from carepost.web.forms import Form
from carepost.web.model import Visitor, WebPolicy
from carepost.web.render import Frame, Templates
from carepost.web.sealing import Notes, SaidNote
from carepost.web.uploads import Uploads
from carepost.web.words import initials_of

log = get_logger("web")

KEYBOARD_COOKIE = "keys"
YEAR_SECONDS = 31_536_000
# What a form has in a field of its own, where there is no form.
PROOF_HEADER = "x-carepost-proof"


class On(StrEnum):
    """What a door's verb is about."""

    NOBODY = "nobody"  # anyone may come in
    SELF = "self"  # the visitor's own account
    MAILBOX = "mailbox"  # the one that the path names
    ORGANISATION = "organisation"  # the visitor's own


class Needs(StrEnum):
    """What must be in order before a person may use a door."""

    NOTHING = "nothing"
    POLICY = "policy"  # the acceptable use policy is accepted (R74)
    ALL = "all"  # and a password that somebody else chose is changed


Enter = Callable[["Visit"], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One route: where it is, what it does, and the permission that it asks for."""

    path: str
    method: str
    name: str
    enter: Enter
    verb: Verb | None  # None: anyone
    on: On
    needs: Needs = Needs.ALL
    takes_files: bool = False  # its form may bring files
    streams: bool = False  # it takes octets as they come; its proof is in a header, before the first of them


WhoIs = Callable[[str, str | None], Awaitable[Visitor | None]]


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request, with what the shell found out about it."""

    request: Request
    house: "House"
    visitor: Visitor | None
    cookie: str  # what forms are bound to: the session's token, or a passer-by's number
    form: Form = field(default_factory=Form)
    new_cookie: bool = False

    @property
    def me(self) -> Visitor:
        """The visitor of a door that asked for one."""
        if self.visitor is None:
            raise Broken("a page that needs a person was opened without one")
        return self.visitor

    @property
    def client(self) -> str | None:
        return self.request.client.host if self.request.client else None

    @property
    def browser(self) -> str:
        return self.request.headers.get("user-agent", "")[:200]

    @property
    def here(self) -> str:
        """Path and query of this page, without what was last said."""
        kept = [(k, v) for k, v in self.request.query_params.multi_items() if k != "said"]
        return self.request.url.path + (f"?{urlencode(kept)}" if kept else "")

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "")[:VALUE_MAX]

    def number(self, name: str) -> int:
        """A number of the path. The route's convertor has seen to it that it is one."""
        return int(self.request.path_params[name])

    def mailbox(self) -> MailboxAccess:
        """The mailbox that the path names; the door has asked whether they may."""
        return self.me.mailboxes[MailboxId(self.number("mailbox"))]

    def page(self, template: str, /, **given: object) -> HTMLResponse:
        return self.house.answer(self, template, 200, given)

    def page_again(self, template: str, /, **given: object) -> HTMLResponse:
        """The page of a form that was not right."""
        return self.house.answer(self, template, 400, given)

    def go(self, to: str, said: SaidNote | None = None) -> Response:
        """See other: after a form, so that going back does not send it twice. Only to a path of our own."""
        target = own_path(to)
        if said is not None:
            sealed = self.house.notes.seal(said, bound_to=self.cookie, lasts=self.house.undo_lasts)
            target += ("&" if "?" in target else "?") + "said=" + sealed
        return RedirectResponse(target, status_code=303)


VALUE_MAX = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What every page needs, whoever asks."""

    policy: WebPolicy
    notes: Notes
    templates: Templates
    who_is: WhoIs
    uploads: Uploads = field(default_factory=Uploads)
    writes: bool = False  # whether there are pages to write mail on

    @property
    def undo_lasts(self) -> timedelta:
        return timedelta(seconds=self.policy.undo_seconds)

    @property
    def session_cookie(self) -> str:
        return "__Host-session" if self.policy.is_secure else "session"

    @property
    def device_cookie(self) -> str:
        """Knows a person's own computer again, so that nobody else can lock them out of it (R86)."""
        return "__Host-device" if self.policy.is_secure else "device"

    @property
    def passer_by_cookie(self) -> str:
        return "__Host-passerby" if self.policy.is_secure else "passerby"

    def frame(self, visit: Visit) -> Frame:
        proof = self.notes.form_proof(visit.cookie)
        if visit.visitor is None:
            return Frame(product=self.policy.product, csrf=proof, service_desk=self.policy.service_desk)
        said = self._said(visit)
        undo = visit.query("said") if said is not None and said.back_to else ""
        return Frame(
            product=self.policy.product,
            csrf=proof,
            organisation=visit.visitor.organisation_name,
            person=visit.visitor.name,
            initials=initials_of(visit.visitor.name),
            service_desk=self.policy.service_desk,
            said=said.says if said else "",
            undo=undo,
            writes=self.writes,
            undo_send=said.outgoing if said is not None else 0,
            keyboard=visit.request.cookies.get(KEYBOARD_COOKIE) != "off",
            replying=tuple(
                (int(one.mailbox.id), one.mailbox.display_name)
                for one in visit.visitor.mailboxes.values()
                if one.replies
            ),
        )

    def answer(self, visit: Visit, template: str, status: int, given: Mapping[str, object]) -> HTMLResponse:
        response = HTMLResponse(self.templates.page(template, self.frame(visit), **given), status_code=status)
        if visit.new_cookie:
            self.set_cookie(response, self.passer_by_cookie, visit.cookie)
        return response

    def set_cookie(self, response: Response, name: str, value: str, *, max_age: int | None = None) -> None:
        """Without `max_age` it goes when the browser is closed (R194)."""
        response.set_cookie(
            name, value, max_age=max_age, secure=self.policy.is_secure, httponly=True, samesite="lax", path="/"
        )

    def forget_cookie(self, response: Response, name: str) -> None:
        response.delete_cookie(name, secure=self.policy.is_secure, httponly=True, samesite="lax", path="/")

    def open(self, door: Door) -> Callable[[Request], Awaitable[Response]]:
        """The Starlette endpoint of a door."""

        async def endpoint(request: Request) -> Response:
            visit = Visit(request=request, house=self, visitor=None, cookie="")
            try:
                return await self._admit(door, visit)
            except MailError as error:
                return self.sorry(visit, error)

        return endpoint

    def sorry(self, visit: Visit, error: MailError) -> HTMLResponse:
        """The error page: one table from family of error to status and words."""
        if not visit.cookie:
            visit.cookie, visit.new_cookie = secrets.token_urlsafe(24), True
        status, title, next_step = _WORDS[next(kind for kind in type(error).__mro__ if kind in _WORDS)]
        if isinstance(error, Broken):
            log.error("page failed", path=visit.request.scope.get("route_name", ""), **error.private)
        public = _BROKEN if isinstance(error, Broken) else error.public
        return self.answer(visit, "error.html", status, {"title": title, "says": public, "next_step": next_step})

    def missing(self, request: Request) -> HTMLResponse:
        """No route has this path."""
        visit = Visit(request=request, house=self, visitor=None, cookie=request.cookies.get(self.passer_by_cookie, ""))
        return self.sorry(visit, NoSuchPage())

    async def _admit(self, door: Door, visit: Visit) -> Response:
        token = visit.request.cookies.get(self.session_cookie, "")
        if token:
            visit.visitor = await self.who_is(token, visit.client)
        if visit.visitor is not None:
            visit.cookie = token
        else:
            visit.cookie = visit.request.cookies.get(self.passer_by_cookie, "")
            if not visit.cookie:
                visit.cookie, visit.new_cookie = secrets.token_urlsafe(24), True
        if door.verb is not None:
            if visit.visitor is None:
                return self._sign_in_first(visit)
            if visit.visitor.must_accept and door.needs is not Needs.NOTHING:
                return visit.go("/acceptable-use/accept")
            if visit.visitor.must_change_password and door.needs is Needs.ALL:
                return visit.go("/settings/password")
            authorize(visit.visitor.rights, door.verb, self._thing(door, visit))
        if door.streams:
            self._is_from_us(visit)
            if not self.notes.is_ours(visit.request.headers.get(PROOF_HEADER, "")[:VALUE_MAX], visit.cookie):
                raise NotOurForm
        elif door.method == "POST":
            await self._take_form(visit, door)
        return await door.enter(visit)

    def _sign_in_first(self, visit: Visit) -> Response:
        if visit.request.method == "GET":
            return RedirectResponse(f"/sign-in?next={quote(visit.here, safe='/')}", status_code=303)
        return RedirectResponse("/sign-in", status_code=303)

    def _thing(self, door: Door, visit: Visit) -> Thing:
        me = visit.me
        if door.on is On.MAILBOX:
            access = me.mailboxes.get(MailboxId(visit.number("mailbox")))
            if access is None:
                raise NoSuchPage  # as for one that does not exist
            return OnMailbox.of(access.mailbox)
        if door.on is On.SELF:
            return OnPerson(me.person, me.organisation)
        return OnOrganisation(me.organisation)

    def _is_from_us(self, visit: Visit) -> None:
        request = visit.request
        origin = request.headers.get("origin")
        if origin is not None and origin != self.policy.web_origin:
            raise NotOurForm(origin_given=True)
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise NotOurForm(fetch_site=True)

    async def _take_form(self, visit: Visit, door: Door) -> None:
        request = visit.request
        self._is_from_us(visit)
        if door.takes_files and request.headers.get("content-type", "").startswith("multipart/form-data"):
            many, files = await self.uploads.read(request)
            visit.form = Form(values={name: each[-1] for name, each in many.items()}, many=many, files=files)
            if not self.notes.is_ours(visit.form.secret("csrf"), visit.cookie):
                raise NotOurForm
            return
        # Without a length, in chunks, a form could go on for ever: browsers always say how long it is.
        length = request.headers.get("content-length", "")
        is_sized = length.isdigit() and len(length) < 10 and "transfer-encoding" not in request.headers
        if not is_sized or int(length) > self.policy.form_octets_max:
            raise Malformed("The form is larger than any of ours.")
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            raise Malformed("This is not one of our forms.")
        try:
            fields = await request.form(max_fields=self.policy.form_fields_max)
        except MultiPartException as error:
            raise Malformed("The form could not be read.") from error
        values = {name: value for name, value in fields.items() if isinstance(value, str)}
        many = {name: [v for v in fields.getlist(name) if isinstance(v, str)] for name in values}
        visit.form = Form(values=values, many=many)
        if not self.notes.is_ours(visit.form.secret("csrf"), visit.cookie):
            raise NotOurForm

    def _said(self, visit: Visit) -> SaidNote | None:
        sealed = visit.query("said")
        if not sealed:
            return None
        try:
            return self.notes.open(SaidNote, sealed, bound_to=visit.cookie)
        except MailError:
            return None


def own_path(to: str) -> str:
    """A path of this site, or its first page: never another site's address (open redirects)."""
    plain = to.isascii() and to.isprintable() and "\\" not in to and len(to) <= VALUE_MAX
    return to if plain and to.startswith("/") and not to.startswith("//") else "/"


class NoSuchPage(NotPossible):
    """There is nothing at this address, or nothing for them."""

    def __init__(self) -> None:
        super().__init__("There is no such page, or it is not yours to see.")


class NotOurForm(NotAllowed):
    """A form that another site sent, or one that stood open too long."""

    def __init__(self, **private: object) -> None:
        super().__init__("The page had been open too long, or the form did not come from it.", **private)


_BROKEN = "Something went wrong on our side. It has been written down, and nothing of yours is lost."
# Family of error -> status, title, what to do next.
_WORDS: Mapping[type[MailError], tuple[int, str, str]] = {
    NoSuchPage: (404, "Page not found", "Check the address, or go back to your mail."),
    NotOurForm: (403, "This form could not be accepted", "Go back, load the page again and send the form once more."),
    Malformed: (400, "That could not be understood", "Go back and try again."),
    NotAllowed: (403, "You may not do this", "If you should be able to, ask your local administrator."),
    NotPossible: (404, "That is not possible", "Go back and load the page again: it may have changed."),
    TryLater: (503, "Not just now", "Wait a minute and load the page again."),
    Broken: (500, "Something went wrong", "Try again in a minute. If it happens again, tell the service desk."),
    MailError: (500, "Something went wrong", "Try again in a minute. If it happens again, tell the service desk."),
}
