"""The process that people reach: mail programs, pages, and the chores. It holds the root key."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

from carepost.app.areas import Areas, open_areas
from carepost.app.chores import Chores
from carepost.app.mail_out_joined import sending
from carepost.app.observing import Observing
from carepost.app.relay import server_tls
from carepost.app.storage import Dsns
from carepost.app.submission import serve_submission
from carepost.audit.events_mail import SharedMailboxOpened
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.errors import NotPossible
from carepost.identity.app_passwords import AppPasswords
from carepost.identity.model import ClientFacts, Door, Scope
from carepost.infra.db import Database
from carepost.infra.log import get_logger
from carepost.infra.settings import Settings
from carepost.infra.tasks import Restart, supervised
from carepost.infra.tls import ServerTls
from carepost.protocols.imap.ports import ImapServices, Mail, SignedIn
from carepost.protocols.imap.server import ImapServer
from carepost.store.model import MailboxLike
from carepost.store.sent_copies import SentCopies
from carepost.wire.imap_limits import ImapLimits

log = get_logger("access")


@dataclass(frozen=True, slots=True)
class AccessSockets:
    """Opened by the parent, shared by all access processes."""

    imap: Sequence[socket.socket] = ()
    imap_tls: Sequence[socket.socket] = ()
    submission: Sequence[socket.socket] = ()
    submission_tls: Sequence[socket.socket] = ()
    web: Sequence[socket.socket] = ()
    content: Sequence[socket.socket] = ()
    portal: Sequence[socket.socket] = ()

    @property
    def all(self) -> tuple[socket.socket, ...]:
        return (
            *self.imap,
            *self.imap_tls,
            *self.submission,
            *self.submission_tls,
            *self.web,
            *self.content,
            *self.portal,
        )


@dataclass(frozen=True, slots=True)
class ImapDoor:
    """IMAP's way in: app passwords of the scope `imap`."""

    app_passwords: AppPasswords

    async def sign_in(self, address: str, secret: str, client_address: str) -> SignedIn | None:
        client = ClientFacts(address=ip_address(client_address), door=Door.IMAP)
        found = await self.app_passwords.check(address, secret, Scope.IMAP, client)
        if found is None:
            return None
        return SignedIn(
            person=found.person, organisation=found.organisation, app_password=found.app_password, name=found.name
        )


@dataclass(frozen=True, slots=True)
class SharedMailboxes:
    """Notes in the audit log who opened a shared mailbox (R51)."""

    db: Database
    audit: AuditTrail

    async def opened(self, actor: Actor, mailbox: MailboxLike) -> None:
        async with self.db.transaction(mailbox.organisation) as tx:
            await self.audit.record(tx, actor, SharedMailboxOpened(mailbox=mailbox.id, door="imap"))


@dataclass(slots=True)
class Certificates:
    """The certificates of the doors that people use."""

    mail: ServerTls | None
    web: ServerTls | None
    watched: list[ServerTls] = field(default_factory=list)

    @classmethod
    def of(cls, settings: Settings) -> "Certificates":
        mail = _certificate(settings, settings.imap.certificate_file, settings.imap.key_file)
        mail = mail or server_tls(settings, opportunistic=False)
        web = _certificate(settings, settings.web.certificate_file, settings.web.key_file)
        return cls(mail, web, [one for one in (mail, web) if one is not None])

    def for_people(self) -> ServerTls:
        """Raises NotPossible without a certificate: nobody signs in in clear (P6)."""
        if self.mail is None:
            raise NotPossible(
                "Mail programs need a certificate. Set imap.certificate_file and imap.key_file, or those of smtp."
            )
        return self.mail


async def run_access(settings: Settings, dsns: Dsns, sockets: AccessSockets, observing: Observing) -> None:
    """Serve until cancelled."""
    certificates = Certificates.of(settings)
    async with open_areas(settings, dsns) as areas, supervised("access") as tasks:
        restart = Restart()
        watch = observing.watch(areas.db)
        health = observing.health("access", areas.db, watch, {})
        tasks.start("durability", watch.run, restart=restart)
        tasks.start("health", partial(health.serve, observing.sockets))
        tasks.start("changes", areas.store.changes.run, restart=restart)
        tasks.start("revocations", areas.identity.revocations.run, restart=restart)
        for number, certificate in enumerate(certificates.watched):
            tasks.start(f"certificate {number}", partial(certificate.watch, log.info), restart=restart)
        tasks.start("chores", Chores(areas).run, restart=restart)
        tasks.start("forgetting", Chores(areas).forget, restart=restart)
        tasks.start("checkpoints", Chores(areas).sign, restart=restart)
        if sockets.imap or sockets.imap_tls:
            server = imap_server(areas, certificates)
            tasks.start("imap", lambda: server.serve(starttls=sockets.imap, implicit=sockets.imap_tls))
        sends = sending(areas)
        out = sends.out
        if sockets.submission or sockets.submission_tls:
            handing_in = (certificates.for_people(), sockets.submission, sockets.submission_tls)
            tasks.start("submission", partial(serve_submission, areas, out.outbound, *handing_in))
        if sockets.web:
            from carepost.app.pages import build_sites, serve_pages
            from carepost.app.portal import SenderDesk

            desk = SenderDesk(secure=sends.portal.secure, asking=sends.portal.asking)
            sites = build_sites(areas, out, desk)
            doors = (sockets.web, sockets.content, certificates.web)
            tasks.start("pages", partial(serve_pages, sites, areas, *doors))
        if sockets.portal:
            from carepost.app.portal import serve_portal

            tasks.start("portal", partial(serve_portal, areas, sends.portal, sockets.portal, certificates.web))
        await asyncio.Event().wait()


def imap_server(areas: Areas, certificates: Certificates) -> ImapServer:
    """Raises NotPossible without a certificate."""
    tls = certificates.for_people()
    store, given = areas.store, areas.settings
    message_octets = int(given.smtp.message_max_mb * 1.38 * (1 << 20))
    services = ImapServices(
        sign_in=ImapDoor(areas.identity.app_passwords),
        people=areas.directory.look,
        shared_log=SharedMailboxes(areas.db, areas.audit),
        mail=Mail(
            folders=store.folders,
            reading=store.messages,
            filing=store.filing,
            words=store.search,
            changes=store.changes,
            sent=SentCopies(messages=store.messages, clock=areas.clock),
        ),
        clock=areas.clock,
        limits=ImapLimits(
            connections_a_person=given.imap.connections_a_person,
            message_octets=message_octets,
            autologout_s=float(given.imap.idle_seconds),
            idle_s=float(given.imap.idle_seconds),
        ),
    )
    return ImapServer(services=services, revocations=areas.identity.revocations, tls_context=lambda: tls.context)


def _certificate(settings: Settings, certificate: str, key: str) -> ServerTls | None:
    return ServerTls(settings.path(certificate), settings.path(key)) if certificate else None
