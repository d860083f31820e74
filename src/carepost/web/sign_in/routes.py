"""Signing in and out, and accepting the acceptable use policy before first use.

Promises
    Whoever gives a wrong address and whoever gives a wrong password read the same sentence.
    A session begins with a new token; the one of the passer-by is dropped (session fixation).
    On a shared computer no cookie outlives the browser; signing out clears what the browser keeps of us (R194).
"""

from dataclasses import dataclass
from typing import assert_never

import segno
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from carepost.base.errors import MailError
from carepost.directory.access import Verb
from carepost.governance.acceptable_use import AcceptableUse
from carepost.identity.model import (
    ClientFacts,
    CodeNotAccepted,
    NeedsSecondFactor,
    NeedsSetUp,
    NotAccepted,
    SessionToken,
    Throttled,
)
from carepost.identity.service import SignIn
from carepost.identity.sessions import Sessions
from carepost.web.forms import Form
from carepost.web.people import client_facts
from carepost.web.shell import Door, Enter, Needs, On, Visit, own_path

DEVICE_SECONDS = 180 * 86_400  # as long as identity knows a device again


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """What signing in needs."""

    sign_in: SignIn
    sessions: Sessions
    acceptable_use: AcceptableUse

    def doors(self) -> list[Door]:
        return [
            _anyone("/sign-in", "GET", "sign-in", self.ask),
            _anyone("/sign-in", "POST", "sign-in.password", self.password),
            _anyone("/sign-in/code", "GET", "sign-in.again", self.again),
            _anyone("/sign-in/code", "POST", "sign-in.code", self.code),
            _anyone("/acceptable-use", "GET", "aup", self.policy),
            _anyone("/signed-out", "GET", "signed-out", self.gone),
            _before_use("/acceptable-use/accept", "GET", "aup.ask", self.must_accept),
            _before_use("/acceptable-use/accept", "POST", "aup.accept", self.accept),
            _before_use("/sign-out", "POST", "sign-out", self.sign_out),
        ]

    async def ask(self, visit: Visit) -> Response:
        if visit.visitor is not None:
            return visit.go(own_path(visit.query("next")))
        return _password_page(visit, Form(), own_path(visit.query("next")))

    async def password(self, visit: Visit) -> Response:
        form = visit.form
        address = form.require("address", "Enter your email address")
        password = form.secret("password")
        if not password:
            form.wrong("password", "Enter your password")
        after = own_path(form.text("next"))
        if not form.is_right:
            return _password_page(visit, form, after)
        result = await self.sign_in.begin(address, password, _client(visit))
        match result:
            case NotAccepted() | Throttled():
                form.wrong("address", result.says)
                return _password_page(visit, form, after)
            case NeedsSecondFactor():
                return _code_page(visit, Form(), result.ticket, after, own=result.known_device)
            case NeedsSetUp():
                return await self._set_up_page(visit, Form(), result.ticket, after)
            case _:
                assert_never(result)

    async def again(self, visit: Visit) -> Response:
        """Whoever comes here by a bookmark or by loading anew begins anew: the ticket went with the form."""
        return visit.go("/sign-in")

    async def code(self, visit: Visit) -> Response:
        form = visit.form
        ticket, after = form.secret("ticket"), own_path(form.text("next"))
        setting_up = form.text("setting_up") == "yes"
        own = form.text("computer") == "own"
        code = form.require("code", "Enter the six digits that your app shows")
        if not form.is_right:
            return await self._code_again(visit, form, ticket, after, setting_up=setting_up, own=own)
        result = await self.sign_in.second_factor(ticket, code, _client(visit), shared_computer=not own)
        match result:
            case SessionToken():
                return _signed_in(visit, result, after)
            case CodeNotAccepted(again=False):
                form.wrong("address", result.says)
                return _password_page(visit, Form(errors=form.errors), after)
            case CodeNotAccepted() | Throttled():
                form.wrong("code", result.says)
                return await self._code_again(visit, form, ticket, after, setting_up=setting_up, own=own)
            case _:
                assert_never(result)

    async def policy(self, visit: Visit) -> Response:
        """The policy and those before it, for anybody (R76)."""
        versions = await self.acceptable_use.versions()
        wanted = visit.query("version")
        chosen = next((v for v in versions if str(v.version) == wanted), versions[0] if versions else None)
        return visit.page("sign_in/policy.html", title="Acceptable use policy", chosen=chosen, versions=versions)

    async def must_accept(self, visit: Visit) -> Response:
        """The whole text, with the button at its end: it can't be pressed without passing the text (R74)."""
        version = await self.acceptable_use.must_accept(visit.me.organisation, visit.me.person)
        if version is None:
            return visit.go("/")
        return visit.page("sign_in/accept.html", title="Acceptable use policy", chosen=version)

    async def accept(self, visit: Visit) -> Response:
        version = visit.form.number("version")
        if version is not None:
            client = _client(visit)
            await self.acceptable_use.accept(visit.me.actor, version, client=client.name, address=client.address)
        return visit.go("/")

    async def sign_out(self, visit: Visit) -> Response:
        await self.sessions.end(visit.me.session_token)
        response = RedirectResponse("/signed-out", status_code=303)
        visit.house.forget_cookie(response, visit.house.session_cookie)
        # Not "cookies": that would drop the device's own, which an own computer keeps (R86).
        response.headers["clear-site-data"] = '"cache", "storage"'
        if visit.me.shared_computer:
            response.headers["clear-site-data"] = '"cache", "cookies", "storage"'
        return response

    async def gone(self, visit: Visit) -> Response:
        return visit.page("sign_in/out.html", title="Signed out")

    async def _code_again(
        self, visit: Visit, form: Form, ticket: str, after: str, *, setting_up: bool, own: bool
    ) -> Response:
        if setting_up:
            return await self._set_up_page(visit, form, ticket, after)
        return _code_page(visit, form, ticket, after, own=own)

    async def _set_up_page(self, visit: Visit, form: Form, ticket: str, after: str) -> Response:
        try:
            offer = await self.sign_in.offer_factor(ticket)
        except MailError as error:
            return _password_page(visit, Form(errors={"address": error.public}), after)
        # Drawn here, so that the secret goes to nobody else. Our own drawing of our own text.
        picture = Markup(segno.make(offer.uri, error="m").svg_inline(scale=5, border=2, omitsize=True))  # noqa: S704
        page = visit.page_again if form.errors else visit.page
        return page(
            "sign_in/set_up.html",
            title="Set up your code",
            form=form,
            ticket=ticket,
            next=after,
            secret=" ".join(offer.secret[at : at + 4] for at in range(0, len(offer.secret), 4)),
            picture=picture,
        )


def _anyone(path: str, method: str, name: str, enter: Enter) -> Door:
    return Door(path=path, method=method, name=name, enter=enter, verb=None, on=On.NOBODY)


def _before_use(path: str, method: str, name: str, enter: Enter) -> Door:
    """What somebody may do who has yet to accept the policy or to change a password that was given to them."""
    return Door(
        path=path, method=method, name=name, enter=enter, verb=Verb.OWN_ACCOUNT, on=On.SELF, needs=Needs.NOTHING
    )


def _password_page(visit: Visit, form: Form, after: str) -> Response:
    page = visit.page_again if form.errors else visit.page
    return page("sign_in/password.html", title="Sign in", form=form, next=after)


def _code_page(visit: Visit, form: Form, ticket: str, after: str, *, own: bool) -> Response:
    page = visit.page_again if form.errors else visit.page
    return page("sign_in/code.html", title="Enter your code", form=form, ticket=ticket, next=after, own_computer=own)


def _signed_in(visit: Visit, token: SessionToken, after: str) -> Response:
    house = visit.house
    response = RedirectResponse(after, status_code=303)
    house.set_cookie(response, house.session_cookie, token.token)
    house.forget_cookie(response, house.passer_by_cookie)
    if token.device is not None:
        house.set_cookie(response, house.device_cookie, token.device, max_age=DEVICE_SECONDS)
    return response


def _client(visit: Visit) -> ClientFacts:
    return client_facts(visit.client, visit.browser, visit.request.cookies.get(visit.house.device_cookie))
