"""A person's own settings: sessions, app passwords, password, keyboard."""

from dataclasses import dataclass

from starlette.responses import Response

from carepost.base.errors import MailError
from carepost.base.ids import AppPasswordId, SessionId
from carepost.directory.access import OnOrganisation, Verb, is_allowed
from carepost.identity.accounts import Accounts
from carepost.identity.app_passwords import AppPasswords
from carepost.identity.model import Scope
from carepost.identity.sessions import Sessions
from carepost.web.forms import Form
from carepost.web.sealing import SaidNote
from carepost.web.shell import KEYBOARD_COOKIE, YEAR_SECONDS, Door, Enter, Needs, On, Visit
from carepost.web.words import long_time


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAccount:
    sessions: Sessions
    app_passwords: AppPasswords
    accounts: Accounts

    def doors(self) -> list[Door]:
        return [
            _door("/settings", "GET", "settings", self.look),
            _door("/settings/keyboard", "POST", "settings.keyboard", self.keyboard),
            _door("/settings/sessions", "POST", "settings.sessions", self.end_session),
            _door("/settings/app-passwords", "POST", "settings.grant", self.grant),
            _door("/settings/app-passwords/revoke", "POST", "settings.revoke", self.revoke),
            _door("/settings/password", "GET", "settings.password", self.ask_password, needs=Needs.POLICY),
            _door("/settings/password", "POST", "settings.password.change", self.change_password, needs=Needs.POLICY),
        ]

    async def look(self, visit: Visit) -> Response:
        return await self.show(visit)

    async def show(self, visit: Visit, form: Form | None = None, secret: str = "") -> Response:
        me, zone = visit.me, visit.house.policy.zone
        sessions = await self.sessions.of_person(me.organisation, me.person)
        passwords = await self.app_passwords.of_person(me.organisation, me.person)
        page = visit.page_again if form and form.errors else visit.page
        return page(
            "account/settings.html",
            title="Settings",
            form=form or Form(),
            me=me,
            secret=secret,
            keeps_rules=is_allowed(me.rights, Verb.OUTGOING_RULES_EDIT, OnOrganisation(me.organisation)),
            reviews=is_allowed(me.rights, Verb.QUARANTINE_REVIEW, OnOrganisation(me.organisation)),
            keeps_register=is_allowed(me.rights, Verb.SECURE_DOMAIN_EDIT, OnOrganisation(me.organisation)),
            allows_forwarding=is_allowed(me.rights, Verb.FORWARDING_ALLOW, OnOrganisation(me.organisation)),
            sessions=[
                {
                    "id": one.id,
                    "here": one.id == me.session,
                    "client": one.client or "A browser",
                    "address": one.address or "not known",
                    "began": long_time(one.created_at.astimezone(zone)),
                    "used": long_time(one.last_used_at.astimezone(zone)),
                    "shared": one.shared_computer,
                }
                for one in sessions
            ],
            app_passwords=[
                {
                    "id": one.id,
                    "name": one.name,
                    "until": long_time(one.expires_at.astimezone(zone)),
                    "used": long_time(one.last_used_at.astimezone(zone)) if one.last_used_at else "never",
                }
                for one in passwords
                if one.revoked_at is None
            ],
        )

    async def keyboard(self, visit: Visit) -> Response:
        on = visit.form.text("keys") == "on"
        response = visit.go("/settings", SaidNote(f"Keyboard shortcuts are {'on' if on else 'off'}."))
        # A choice, not an identity; on a shared computer it goes with the browser (R194).
        lasts = None if visit.me.shared_computer else YEAR_SECONDS
        visit.house.set_cookie(response, KEYBOARD_COOKIE, "on" if on else "off", max_age=lasts)
        return response

    async def end_session(self, visit: Visit) -> Response:
        me = visit.me
        if visit.form.text("which") == "all":
            await self.sessions.revoke_all(me.actor, me.organisation, me.person, reason="by the person themselves")
            return visit.go("/sign-in")
        session = SessionId(visit.form.number("which") or 0)
        await self.sessions.end_one(me.actor, me.organisation, me.person, session)
        return visit.go("/settings", SaidNote("That session is over."))

    async def grant(self, visit: Visit) -> Response:
        form, me = visit.form, visit.me
        name = form.require("device", "Give the device a name, such as: My phone")
        if form.is_right:
            try:
                granted = await self.app_passwords.grant(
                    me.actor, me.organisation, me.person, name=name, scopes={Scope.IMAP, Scope.SUBMISSION}
                )
            except MailError as error:
                form.wrong("device", error.public)
            else:
                return await self.show(visit, Form(), granted.secret)
        return await self.show(visit, form)

    async def revoke(self, visit: Visit) -> Response:
        me = visit.me
        password = AppPasswordId(visit.form.number("which") or 0)
        await self.app_passwords.revoke(me.actor, me.organisation, me.person, password)
        return visit.go("/settings", SaidNote("That app password opens nothing any more."))

    async def ask_password(self, visit: Visit) -> Response:
        return _password_page(visit, Form())

    async def change_password(self, visit: Visit) -> Response:
        form = visit.form
        current, new, again = (form.secret(name) for name in ("current", "new", "again"))
        if not current:
            form.wrong("current", "Enter your current password")
        if not new:
            form.wrong("new", "Enter a new password")
        elif new != again:
            form.wrong("again", "The two new passwords are not the same")
        if form.is_right:
            try:
                await self.accounts.change_own_password(visit.me.actor, current=current, new=new)
            except MailError as error:
                form.wrong("current" if "current" in error.public.lower() else "new", error.public)
        if not form.is_right:
            return _password_page(visit, form)
        return visit.go("/settings", SaidNote("Your password is changed."))


def _password_page(visit: Visit, form: Form) -> Response:
    page = visit.page_again if form.errors else visit.page
    must = visit.me.must_change_password
    return page("account/password.html", title="Change your password", form=form, must=must)


def _door(path: str, method: str, name: str, enter: Enter, *, needs: Needs = Needs.ALL) -> Door:
    return Door(path=path, method=method, name=name, enter=enter, verb=Verb.OWN_ACCOUNT, on=On.SELF, needs=needs)
