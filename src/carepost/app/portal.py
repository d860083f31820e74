"""The portal, put together: its rooms over the areas, its pages on their sockets, its answers into the inbound walk.

Promises
    An answer from outside is examined by the same checks and cards as mail that comes by port 25.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, ip_address

from carepost.app.areas import Areas
from carepost.app.delivery_rooms import delivery_rooms
from carepost.app.large_files import large_files
from carepost.app.mail_out import correspondents_of, follow_room
from carepost.app.pages import canonical, serve
from carepost.app.relay import inbound_gateway
from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.errors import MailError, NotPossible
from carepost.base.ids import OrganisationId, OutgoingId
from carepost.directory.model import Found, MailboxAccess, MailboxKind
from carepost.directory.service import Directory
from carepost.gateway.inbound import InboundGateway
from carepost.gateway.model import Connection, Envelope, Recipient, Via
from carepost.infra import vault
from carepost.infra.log import get_logger
from carepost.infra.settings import Settings, read_secret
from carepost.infra.tls import ServerTls
from carepost.message.compose import format_date
from carepost.portal.asking import Asking
from carepost.portal.budgets import Budgets
from carepost.portal.confirming import Confirming
from carepost.portal.files import PortalFiles
from carepost.portal.model import (
    AccessRequest,
    AccessRequestId,
    Kind,
    Level,
    PortalPolicy,
    RecipientRecord,
    SecureMessageId,
)
from carepost.portal.post import PortalPost, Queue
from carepost.portal.reading import Reading
from carepost.portal.replying import Receive, Reply, Replying
from carepost.portal.seals import PortalSeals
from carepost.portal.secure_messages import PortalFollower, PortalRecord, SecureMessages
from carepost.portal.texting import FileTexts, HttpTexts, NoTexts, Texts
from carepost.web.portal.pages import portal_doors
from carepost.web.portal.site import PortalSite, build_portal
from carepost.web.sealing import Notes

log = get_logger("web")

_NOT_KNOWN = IPv4Address(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalRooms:
    """`secure` and `asking` for the sender's pages, the rest for the portal's own."""

    secure: SecureMessages
    reading: Reading
    asking: Asking
    # Purging waits for nobody: one look at each organisation.
    areas: Areas = field(repr=False)

    async def purge(self) -> int:
        """The chore: what has run out, of every organisation."""
        done = 0
        for organisation in await self.areas.organisations():
            try:
                done += await self.secure.purge(OrganisationId(organisation.id))
            except MailError as error:
                log.warning("secure messages could not be purged", organisation=int(organisation.id), error=error)
        return done


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalInbound:
    """The portal's `Receive`, over the inbound gateway."""

    gateway: InboundGateway
    directory: Directory
    hostname: str

    async def ours(self, addresses: Sequence[EmailAddress]) -> list[EmailAddress]:
        return [one for one in addresses if isinstance(await self.directory.route(one), Found)]

    async def receive(self, reply: Reply) -> None:
        recipients = []
        for address in reply.to:
            route = await self.directory.route(address)
            if isinstance(route, Found):
                recipients.append(_recipient(address, route))
        if not recipients or recipients[0].address != reply.to[0]:
            raise NotPossible("Who wrote to you no longer has a mailbox here. Telephone the organisation instead.")
        connection = Connection(
            client_ip=ip_address(reply.client) if reply.client else _NOT_KNOWN,
            client_name=None,
            hello="portal",
            tls=None,
            via=Via.PORTAL,
            local_name=self.hostname,
        )
        envelope = Envelope(
            trace=reply.trace,
            reverse_path=reply.author,
            recipients=tuple(recipients),
            smtputf8=not str(reply.author).isascii(),
            received=self._received(reply),
        )
        await self.gateway.receive(connection, envelope, reply.raw)

    def _received(self, reply: Reply) -> bytes:
        at = format_date(self.gateway.clock.now())
        return (
            f"Return-Path: <{reply.author}>\r\n"
            f"Received: from portal by {self.hostname} (Carepost) with HTTPS\r\n"
            f"\t(external via portal, level {reply.level.value}) id {reply.trace}; {at}\r\n"
        ).encode()


def _recipient(address: EmailAddress, route: Found) -> Recipient:
    return Recipient(
        address=address,
        mailbox=route.mailbox,
        organisation=route.organisation,
        shared=route.kind is MailboxKind.SHARED,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderDesk:
    """The sender's side, for the pages of writing."""

    secure: SecureMessages
    asking: Asking

    async def record(self, organisation: OrganisationId, outgoing: OutgoingId) -> list[RecipientRecord]:
        return await self.secure.record(organisation, outgoing)

    async def extend(
        self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, seq: int, *, until: datetime
    ) -> None:
        async with self.secure.db.transaction(organisation) as tx:
            if not await self.secure.extend(tx, actor, organisation, outgoing, [seq], until=until):
                raise NotPossible("It can no longer be read, so it cannot be given more time.")

    async def requests(self, organisation: OrganisationId, outgoing: OutgoingId) -> list[AccessRequest]:
        return await self.asking.requests(organisation, outgoing)

    async def settle(
        self,
        actor: Actor,
        organisation: OrganisationId,
        message: SecureMessageId,
        request: AccessRequestId,
        *,
        approve: bool,
    ) -> None:
        await self.asking.settle(actor, organisation, message, request, approve=approve)

    async def invite(
        self,
        actor: Actor,
        access: MailboxAccess,
        address: EmailAddress,
        *,
        sender_name: str,
        organisation_name: str,
        kind: Kind = Kind.INVITATION,
    ) -> None:
        sender = access.mailbox.address
        await self.secure.invite(
            actor,
            organisation=access.mailbox.organisation,
            mailbox=access.mailbox.id,
            address=address,
            sender=sender,
            sender_name=sender_name,
            organisation_name=organisation_name,
            writer=self.secure.policy.writer_for(sender),
            kind=kind,
        )


def portal_policy(settings: Settings) -> PortalPolicy:
    given = settings.portal
    return PortalPolicy(
        url=given.url,
        pages=settings.web.url,
        expires_after=timedelta(days=given.expires_days),
        patient_level=Level(given.patient_level),
        replies_max=given.answers_max,
        reply_mb=given.answers_mb,
        idle=timedelta(minutes=given.idle_minutes),
        session=timedelta(hours=given.session_hours),
    )


def texts(settings: Settings) -> Texts:
    """Whoever brings codes to telephones. Raises NotPossible for a provider that is half set."""
    given = settings.portal
    if given.texts_url:
        return HttpTexts(url=given.texts_url, token=read_secret(settings.path(given.texts_token_file)))
    return FileTexts(settings.path(given.texts_file)) if given.texts_file else NoTexts()


def secure_messages(
    areas: Areas, *, queue: Queue | None = None, follower: PortalFollower | None = None
) -> SecureMessages:
    """For the sender's side and the release: made, revoked, extended, looked at."""
    seals = PortalSeals(keys=areas.store.keys)
    queue = queue or delivery_rooms(areas).queue
    return SecureMessages(
        db=areas.db,
        seals=seals,
        record_=PortalRecord(
            seals=seals, audit=areas.audit, clock=areas.clock, follower=follower or follow_room(areas)
        ),
        post=PortalPost(keys=areas.store.keys, queue=queue, clock=areas.clock),
        edge=areas.edge,
        policy=portal_policy(areas.settings),
        files=large_files(areas),
    )


def portal_rooms(areas: Areas, secure: SecureMessages | None = None) -> PortalRooms:
    secure = secure or secure_messages(areas)
    budgets = Budgets(edge=areas.edge, clock=areas.clock, policy=secure.policy)
    reading = Reading(messages=secure, budgets=budgets, texts=texts(areas.settings))
    return PortalRooms(secure=secure, reading=reading, asking=Asking(reading=reading), areas=areas)


def portal_site(areas: Areas, rooms: PortalRooms, receive: Receive | None = None) -> PortalSite:
    settings, root = areas.settings, areas.store.keys.root
    directory = areas.directory.look
    receive = receive or PortalInbound(
        gateway=inbound_gateway(settings, areas.db, directory, areas.clock),
        directory=directory,
        hostname=settings.service.hostname,
    )
    # The same in every worker, and worthless without the root key.
    secret = vault.subkey(root.key(root.newest), b"carepost portal notes")
    return PortalSite(
        policy=rooms.secure.policy,
        reading=rooms.reading,
        replying=Replying(reading=rooms.reading, receive=receive),
        asking=rooms.asking,
        confirming=Confirming(reading=rooms.reading, known=correspondents_of(areas)),
        notes=Notes(secret, areas.clock),
        files=PortalFiles(reading=rooms.reading, files=large_files(areas)),
        product=settings.service.name,
        service_desk=settings.service.help_desk,
    )


async def serve_portal(
    areas: Areas, rooms: PortalRooms, sockets: Sequence[socket.socket], tls: ServerTls | None
) -> None:
    """Serve the portal's origin until cancelled."""
    site = portal_site(areas, rooms)
    app = canonical(build_portal(site, portal_doors()), areas.settings.portal.url)
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(app, sockets, tls, areas.settings.web.trusted_proxies))
