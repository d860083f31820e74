"""The two web sites: pages for people, and the content origin for what strangers wrote. Built here, served by app.

Promises
    Every route of the pages is a Door; `Sites.doors` lists them, for the guard that asks each for its permission.
    Every answer carries the headers of `headers.py`, errors and static files too.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from carepost.base.clock import Clock
from carepost.base.errors import Broken
from carepost.directory.autoreply import Autoreplies
from carepost.directory.correspondents import Correspondents
from carepost.directory.forwarding import Forwardings
from carepost.directory.service import Directory
from carepost.governance.acceptable_use import AcceptableUse
from carepost.identity.accounts import Accounts
from carepost.identity.app_passwords import AppPasswords
from carepost.identity.service import SignIn
from carepost.identity.sessions import Sessions
from carepost.infra.log import get_logger
from carepost.web.account.routes import OwnAccount
from carepost.web.admin.rooms import AdminRooms
from carepost.web.admin.rooms import doors as admin_doors
from carepost.web.automatic.autoreply import AutoreplyPages
from carepost.web.automatic.forwarding import ForwardingPages
from carepost.web.content.site import ContentSite
from carepost.web.headers import WithHeaders, site_headers
from carepost.web.mail.rooms import MailRooms
from carepost.web.mail.routes import doors as mail_doors
from carepost.web.model import WebPolicy
from carepost.web.people import People
from carepost.web.render import HERE, static_addresses, templates
from carepost.web.sealing import Notes
from carepost.web.shell import Door, House, Visit
from carepost.web.sign_in.routes import Entrance
from carepost.web.static_files import static_files
from carepost.web.status.routes import PublicPages
from carepost.web.writing.correspondents import CorrespondentPages
from carepost.web.writing.rooms import WritingRooms
from carepost.web.writing.routes import doors as writing_doors

log = get_logger("web")


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteIdentity:
    """Proving who you are, as the site needs it."""

    sign_in: SignIn
    sessions: Sessions
    accounts: Accounts
    app_passwords: AppPasswords
    acceptable_use: AcceptableUse


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRooms:
    """What app hands over. `secret`: 32 bytes that every worker shares; `is_ready`: whether the database answers."""

    identity: SiteIdentity
    directory: Directory
    mail: MailRooms
    clock: Clock
    secret: bytes
    is_ready: Callable[[], Awaitable[bool]]
    writing: WritingRooms | None = None  # None where mail is only read
    admin: AdminRooms | None = None  # None where nobody administers in a browser
    correspondents: Correspondents | None = None
    autoreplies: Autoreplies | None = None
    forwardings: Forwardings | None = None


@dataclass(frozen=True, slots=True)
class Sites:
    pages: ASGIApp
    content: ASGIApp
    doors: tuple[Door, ...]


def build(policy: WebPolicy, rooms: SiteRooms) -> Sites:
    """Both sites. Reads templates and static files; touches nothing else."""
    static = static_addresses(HERE / "static")
    notes = Notes(rooms.secret, rooms.clock)
    identity = rooms.identity
    people = People(
        sessions=identity.sessions,
        directory=rooms.directory,
        acceptable_use=identity.acceptable_use,
        clock=rooms.clock,
    )
    house = House(
        policy=policy,
        notes=notes,
        templates=templates(static.__getitem__),
        who_is=people.who_is,
        writes=rooms.writing is not None,
    )
    doors = (
        *Entrance(sign_in=identity.sign_in, sessions=identity.sessions, acceptable_use=identity.acceptable_use).doors(),
        *OwnAccount(
            sessions=identity.sessions, app_passwords=identity.app_passwords, accounts=identity.accounts
        ).doors(),
        *mail_doors(rooms.mail),
        *(writing_doors(rooms.writing) if rooms.writing is not None else ()),
        *(admin_doors(rooms.admin, rooms.clock) if rooms.admin is not None else ()),
        *_people_doors(rooms),
        *_automatic_doors(rooms),
        *PublicPages(rooms.is_ready, rooms.directory).doors(),
    )
    content = ContentSite(
        policy=policy,
        notes=notes,
        directory=rooms.directory,
        messages=rooms.mail.messages,
        sessions=identity.sessions,
        sealed=rooms.mail.sealed,
    )
    return Sites(_pages(house, doors, static), content.build(), doors)


def _people_doors(rooms: SiteRooms) -> list[Door]:
    if rooms.correspondents is None:
        return []
    links = rooms.writing.links if rooms.writing is not None else None
    return CorrespondentPages(correspondents=rooms.correspondents, clock=rooms.clock, links=links).doors()


def _automatic_doors(rooms: SiteRooms) -> list[Door]:
    doors = AutoreplyPages(autoreplies=rooms.autoreplies).doors() if rooms.autoreplies is not None else []
    if rooms.forwardings is not None:
        doors += ForwardingPages(forwardings=rooms.forwardings, directory=rooms.directory).doors()
    return doors


def _pages(house: House, doors: tuple[Door, ...], static: Mapping[str, str]) -> ASGIApp:
    routes = [Route(door.path, house.open(door), methods=[door.method], name=door.name) for door in doors]
    routes.append(Route("/static/{address:path}", static_files(static), methods=["GET"], name="static"))

    async def missing(request: Request, _error: Exception) -> Response:
        return house.missing(request)

    async def broken(request: Request, error: Exception) -> Response:
        log.error("page failed", error=type(error).__name__)
        return house.sorry(Visit(request=request, house=house, visitor=None, cookie=""), Broken("page failed"))

    app = Starlette(routes=routes, exception_handlers={404: missing, 405: missing, 500: broken})
    policy = house.policy
    return WithHeaders(app, site_headers(content_origin=policy.content_origin, secure=policy.is_secure))
