"""The portal's own origin: where people outside read, answer and write. Built here, served by app.

Promises
    A GET changes nothing and shows nothing until a proof was given: scanners that fetch every link do no harm.
    One message, one cookie: who has opened one message is known to no other, and no page lists messages.
    Unknown, revoked and expired are the same page, byte for byte.
    Nothing needs JavaScript, and nothing is loaded from elsewhere. The one script is for passkeys, which need it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from carepost.base.errors import Broken, MailError, Malformed, NotAllowed, NotPossible, TryLater
from carepost.infra.log import get_logger
from carepost.infra.vault import DoesNotOpen
from carepost.portal.asking import Asking
from carepost.portal.confirming import Confirming
from carepost.portal.files import PortalFiles
from carepost.portal.model import PortalPolicy
from carepost.portal.passkeys import Passkeys
from carepost.portal.reading import AskAgain, Browser, Frozen, NoLonger, Reading
from carepost.portal.replying import Replying
from carepost.web.forms import Form
from carepost.web.headers import WithHeaders, content_headers, site_headers
from carepost.web.render import HERE, Frame, Templates, static_addresses, templates
from carepost.web.sealing import Notes
from carepost.web.static_files import static_files
from carepost.web.uploads import Uploads

log = get_logger("web")

_SCRIPT = "passkeys.js"
_FORM_OCTETS_MAX = 64 << 10
_FORM_FIELDS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalSite:
    """What the pages of the portal need."""

    policy: PortalPolicy
    reading: Reading
    replying: Replying
    asking: Asking
    confirming: Confirming
    notes: Notes
    files: PortalFiles | None = None  # None where no large files are kept
    product: str = "Carepost"
    service_desk: str = ""
    zone: tzinfo = field(default_factory=lambda: ZoneInfo("Europe/London"))

    @property
    def passkeys(self) -> Passkeys:
        return Passkeys(reading=self.reading)

    def cookie(self, name: str) -> str:
        """One for each message, so that no other can be opened with it."""
        return ("__Host-" if self.policy.is_secure else "") + f"read-{name}"


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, at one message or at none."""

    site: PortalSite
    templates: Templates
    request: Request
    name: str = ""
    token: str = ""
    form: Form = field(default_factory=Form)

    @property
    def client(self) -> str | None:
        return self.request.client.host if self.request.client else None

    @property
    def browser(self) -> Browser:
        return Browser(name=self.name, token=self.token, client=self.client)

    @property
    def at(self) -> str:
        return f"/r/{self.name}"

    def page(self, template: str, /, *, status: int = 200, **given: object) -> HTMLResponse:
        proof = self.site.notes.form_proof(self.token) if self.token else ""
        frame = Frame(product=self.site.product, csrf=proof, service_desk=self.site.service_desk)
        values = {"at": self.at, **given}
        return HTMLResponse(self.templates.page(f"portal/{template}", frame, **values), status_code=status)

    def go(self, to: str, *, browser: Browser | None = None) -> Response:
        """See other; with a new token when a proof was given."""
        response = RedirectResponse(to, status_code=303)
        if browser is not None:
            response.set_cookie(
                self.site.cookie(browser.name),
                browser.token,
                secure=self.site.policy.is_secure,
                httponly=True,
                samesite="strict",
                path="/",
            )
        return response

    def forget(self, response: Response) -> Response:
        secure = self.site.policy.is_secure
        response.delete_cookie(self.site.cookie(self.name), secure=secure, httponly=True, samesite="strict", path="/")
        return response


Enter = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalDoor:
    """One route. `forms`: whether its POST must carry our proof (all but the first button, before any cookie)."""

    path: str
    method: str
    enter: Enter
    proved: bool = True
    takes_files: bool = False
    framed: bool = False  # content that a stranger wrote, under the content policy


def build_portal(site: PortalSite, doors: tuple[PortalDoor, ...]) -> ASGIApp:
    """The portal's application. Reads templates and static files; touches nothing else."""
    static = static_addresses(HERE / "static")
    pages = templates(static.__getitem__)
    uploads = Uploads(octets_max=int((site.policy.reply_mb + 2) * 1_000_000))
    routes = [Route(door.path, _endpoint(site, pages, uploads, door), methods=[door.method]) for door in doors]
    routes.append(Route("/static/{address:path}", static_files(static, shows=_shows), methods=["GET"]))

    async def missing(request: Request, _error: Exception) -> Response:
        return _sorry(Call(site=site, templates=pages, request=request), NotPossible("There is no such page."))

    async def broken(request: Request, error: Exception) -> Response:
        log.error("portal page failed", error=type(error).__name__)
        return _sorry(Call(site=site, templates=pages, request=request), Broken("page failed"))

    app = Starlette(routes=routes, exception_handlers={404: missing, 405: missing, 500: broken})
    return WithHeaders(app, _with_passkeys(site_headers(content_origin="'self'", secure=site.policy.is_secure)))


def _with_passkeys(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The portal's own pages may ask the reader's authenticator; nothing else that is framed may."""
    refused, mine = (
        "publickey-credentials-get=()",
        "publickey-credentials-create=(self), publickey-credentials-get=(self)",
    )
    return {**headers, "permissions-policy": headers["permissions-policy"].replace(refused, mine)}


def _endpoint(
    site: PortalSite, pages: Templates, uploads: Uploads, door: PortalDoor
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        name = str(request.path_params.get("name", ""))
        call = Call(site=site, templates=pages, request=request, name=name)
        call.token = request.cookies.get(site.cookie(name), "") if name else ""
        try:
            if door.method == "POST":
                await _take_form(call, uploads, door)
            if name and not call.token:
                raise AskAgain
            response = await door.enter(call)
        except MailError as error:
            response = _sorry(call, error)
        if door.framed:
            policy = content_headers(web_origin="'self'", secure=site.policy.is_secure)
            response.headers.update({**policy, "x-frame-options": "SAMEORIGIN"})
        return response

    return endpoint


async def _take_form(call: Call, uploads: Uploads, door: PortalDoor) -> None:
    request = call.request
    origin = request.headers.get("origin")
    if origin is not None and origin != call.site.policy.url:
        raise _NotOurForm(origin_given=True)
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise _NotOurForm(fetch_site=True)
    kind = request.headers.get("content-type", "")
    if door.takes_files and kind.startswith("multipart/form-data"):
        many, files = await uploads.read(request)
        call.form = Form(values={name: each[-1] for name, each in many.items()}, many=many, files=files)
    else:
        length = request.headers.get("content-length", "")
        is_sized = length.isdigit() and len(length) < 10 and "transfer-encoding" not in request.headers
        if not is_sized or int(length) > _FORM_OCTETS_MAX or not kind.startswith("application/x-www-form-urlencoded"):
            raise Malformed("This is not one of our forms.")
        fields = await request.form(max_fields=_FORM_FIELDS_MAX)
        call.form = Form(values={name: value for name, value in fields.items() if isinstance(value, str)})
    if door.proved and not (call.token and call.site.notes.is_ours(call.form.secret("csrf"), call.token)):
        raise _NotOurForm if call.token else AskAgain


class _NotOurForm(NotAllowed):
    """A form that another site sent."""

    def __init__(self, **private: object) -> None:
        super().__init__("The page had been open too long, or the form did not come from it.", **private)


def _sorry(call: Call, error: MailError) -> HTMLResponse:
    """One table from family of error to page. Within a message, shut and gone are one page: see AskAgain."""
    if isinstance(error, AskAgain) or (isinstance(error, NoLonger) and call.name):
        return call.page("shut.html", status=403, at="")
    if isinstance(error, NoLonger):
        return call.page("gone.html", status=404, at="")
    if isinstance(error, DoesNotOpen):
        log.error("a secure message does not open", **error.private)
        return call.page("changed.html", status=500, at="")
    status, title = next(_TITLES[kind] for kind in type(error).__mro__ if kind in _TITLES)
    if isinstance(error, Broken):
        log.error("portal page failed", **error.private)
    says = _BROKEN if isinstance(error, Broken) else error.public
    return call.page("sorry.html", status=status, title=title, says=says, back=call.at if call.name else "", at="")


_BROKEN = "Something went wrong on our side. It has been written down. Please try again in a few minutes."
_TITLES: Mapping[type[MailError], tuple[int, str]] = {
    Frozen: (403, "This message is shut until tomorrow"),
    Malformed: (400, "That could not be understood"),
    NotAllowed: (403, "This was not accepted"),
    NotPossible: (404, "That is not possible"),
    TryLater: (503, "Please wait a little"),
    Broken: (500, "Something went wrong"),
    MailError: (500, "Something went wrong"),
}


def _shows(name: str) -> bool:
    """Of scripts the one that asks for a passkey: letters are read without any."""
    return name == _SCRIPT or Path(name).suffix in (".css", ".svg", ".woff2")
