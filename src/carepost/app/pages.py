"""The pages and the content origin, served by uvicorn inside the access process's own loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from datetime import timedelta

import uvicorn
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from carepost.app.areas import Areas, wordings
from carepost.app.automatic import automatic_rooms
from carepost.app.large_files import file_look, large_files
from carepost.app.mail_out import MailOutRooms
from carepost.app.smime import sealed_mail
from carepost.app.transport import own_sts_policy
from carepost.base.errors import TryLater
from carepost.directory.register_keeping import RegisterKeeping
from carepost.directory.tls_exceptions import TlsExceptions
from carepost.gateway.deck import shipped_inbound
from carepost.infra import vault
from carepost.infra.settings import Settings
from carepost.infra.tls import ServerTls
from carepost.web.admin.rooms import AdminRooms
from carepost.web.mail.rooms import MailRooms
from carepost.web.model import WebPolicy
from carepost.web.site import SiteIdentity, SiteRooms, Sites, build
from carepost.web.status.mail_policy import with_mail_policy
from carepost.web.writing.file_desk import FilesDesk
from carepost.web.writing.ports import SecureDesk
from carepost.web.writing.rooms import WritingPolicy, WritingRooms

# A page is a few kilobytes; a request head larger than this is no browser's.
_HEAD_OCTETS_MAX = 64 << 10
_KEEP_ALIVE_SECONDS = 30
_CONNECTIONS_MAX = 500
_STOP_SECONDS = 5


async def serve_pages(
    sites: Sites,
    areas: Areas,
    web: Sequence[socket.socket],
    content: Sequence[socket.socket],
    tls: ServerTls | None,
) -> None:
    """Serve both origins until cancelled."""
    pages, proxies = canonical(sites.pages, areas.settings.web.url), areas.settings.web.trusted_proxies
    pages = with_mail_policy(pages, own_sts_policy(areas.settings), areas.directory.look.own_domains)
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(pages, web, tls, proxies))
        group.create_task(serve(sites.content, content, tls, proxies))


def build_sites(areas: Areas, out: MailOutRooms, links: SecureDesk) -> Sites:
    """Both sites over these rooms."""
    settings, store, identity = areas.settings, areas.store, areas.identity
    policy = WebPolicy(
        web_origin=settings.web.url,
        content_origin=settings.web.content_url,
        product=settings.service.name,
        service_desk=settings.service.help_desk,
    )

    async def is_ready() -> bool:
        try:
            async with areas.db.transaction() as tx:
                await tx.one("SELECT 1 AS well")
        except TryLater:
            return False
        return True

    root, automatic = store.keys.root, automatic_rooms(areas)
    mail = MailRooms(
        folders=store.folders,
        messages=store.messages,
        filing=store.filing,
        search=store.search,
        quarantine=areas.gateway.quarantine,
        trace=areas.gateway.trace,
        deck=shipped_inbound(),
        clock=areas.clock,
        sealed=sealed_mail(areas),
    )
    return build(
        policy,
        SiteRooms(
            identity=SiteIdentity(
                sign_in=identity.sign_in,
                sessions=identity.sessions,
                accounts=identity.accounts,
                app_passwords=identity.app_passwords,
                acceptable_use=areas.acceptable_use,
            ),
            directory=areas.directory.look,
            mail=mail,
            writing=WritingRooms(
                mail=mail,
                outbound=out.outbound,
                look=out.view,
                suggestions=out.correspondents,
                links=links,
                files=FilesDesk(files=large_files(areas), look=file_look(areas)),
                wordings=wordings(areas),
                policy=_writing_policy(settings),
            ),
            clock=areas.clock,
            # The same in every worker, and worthless without the root key.
            secret=vault.subkey(root.key(root.newest), b"carepost web notes"),
            is_ready=is_ready,
            correspondents=out.correspondents,
            autoreplies=automatic.autoreplies,
            forwardings=automatic.forwardings,
            admin=_admin_rooms(areas, out),
        ),
    )


def _admin_rooms(areas: Areas, out: MailOutRooms) -> AdminRooms:
    db, look, audit, clock = areas.db, areas.directory.look, areas.audit, areas.clock
    return AdminRooms(
        register=RegisterKeeping(db=db, directory=look, audit=audit, clock=clock),
        exceptions=TlsExceptions(db=db, directory=look, audit=audit, clock=clock),
        rules=out.rules,
        held=out.held,
    )


def _writing_policy(settings: Settings) -> WritingPolicy:
    given = settings.mail_out
    return WritingPolicy(
        attachments_octets_max=round(settings.smtp.message_max_mb * 1_000_000),
        undo_longest=timedelta(minutes=given.undo_most_minutes),
        undo_inside=timedelta(seconds=given.undo_seconds),
        undo_outside=timedelta(seconds=given.undo_seconds_outside),
        texts=bool(settings.portal.texts_url or settings.portal.texts_file),
    )


def canonical(app: ASGIApp, url: str) -> ASGIApp:
    """Send whoever came by another name (127.0.0.1 for localhost, say) to the one that cookies are bound to."""
    ours = url.partition("://")[2].encode("idna" if not url.isascii() else "ascii")

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"]).get(b"host", ours) if scope["type"] == "http" else ours
        if host.lower() == ours or scope["method"] not in ("GET", "HEAD"):
            await app(scope, receive, send)
            return
        query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        path = scope["raw_path"].decode("latin-1") if scope.get("raw_path") else scope["path"]
        await RedirectResponse(f"{url}{path}{query}", status_code=307)(scope, receive, send)

    return served


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the parent process decides who stops when."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_config(app: ASGIApp, proxies: Sequence[str]) -> uvicorn.Config:
    """Of `proxies`, networks, X-Forwarded-For is believed: else all visitors would count as one, the proxy, and a
    stranger's tries at signing in would be held against everybody (R86)."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        http="httptools",
        ws="none",
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        limit_concurrency=_CONNECTIONS_MAX,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
        h11_max_incomplete_event_size=_HEAD_OCTETS_MAX,
    )


async def serve(app: ASGIApp, sockets: Sequence[socket.socket], tls: ServerTls | None, proxies: Sequence[str]) -> None:
    """One origin, until cancelled; whoever is being answered is answered first."""
    config = server_config(app, proxies)
    config.load()
    config.ssl = tls.context if tls is not None else None
    server = _Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=list(sockets)))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
