"""The ports on which people's own programs hand in mail: 465 and 587, joined to the outbound walk."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from carepost.app.areas import Areas, wordings
from carepost.base.address import EmailAddress
from carepost.base.errors import Broken, NotPossible
from carepost.base.ids import TraceId
from carepost.directory.access import OnMailbox, Verb, is_allowed
from carepost.directory.model import Found, Unknown
from carepost.directory.service import Directory
from carepost.directory.wording import Wordings
from carepost.gateway.out.outbound import Outbound
from carepost.gateway.out.outgoing import NeedsAnswers, OutDoor, Submission, Wanted
from carepost.identity.app_passwords import AppPasswords
from carepost.identity.model import ClientFacts, Door, Scope
from carepost.infra.settings import Settings
from carepost.infra.tls import ServerTls
from carepost.protocols.smtp.limits import SmtpLimits, SpoolLimits
from carepost.protocols.smtp.server import SmtpServer
from carepost.protocols.smtp.spool import Spools
from carepost.protocols.smtp.submission import HandedIn, Submissions, SubmissionSettings, Submitter
from carepost.protocols.smtp.throttle import Throttle

_MEGABYTE = 1 << 20
_NOT_YOURS = "This sender is not yours to write as."


@dataclass(frozen=True, slots=True)
class SubmissionWalk:
    """Implements SubmissionDoor: app passwords of the scope `submission`, and the walk that every door leads to."""

    app_passwords: AppPasswords
    directory: Directory
    outbound: Outbound
    wordings: Wordings

    async def sign_in(self, address: str, secret: str, client_address: str) -> Submitter | None:
        client = ClientFacts(address=ip_address(client_address), door=Door.SUBMISSION)
        found = await self.app_passwords.check(address, secret, Scope.SUBMISSION, client)
        if found is None:
            return None
        return Submitter(
            person=found.person, organisation=found.organisation, app_password=found.app_password, name=found.name
        )

    async def may_write_as(self, who: Submitter, sender: EmailAddress) -> bool:
        return await self._mailbox(who, sender) is not None

    async def exists(self, address: EmailAddress) -> bool:
        route = await self.directory.route(address, from_outside=False)
        return not (isinstance(route, Unknown) and route.ours)

    async def submit(self, who: Submitter, handed: HandedIn) -> TraceId:
        mailbox = await self._mailbox(who, handed.sender)
        if mailbox is None:
            raise NotPossible(_NOT_YOURS)
        result = await self.outbound.submit(
            Submission(
                organisation=who.organisation,
                person=who.person,
                mailbox=mailbox.mailbox,
                reverse_path=handed.sender,
                recipients=tuple(Wanted(one.address, one.notify, one.original) for one in handed.recipients),
                raw=handed.raw,
                door=OutDoor.SUBMISSION,
                envid=handed.envid,
                ret=handed.ret,
                require_tls=handed.require_tls,
                client_ip=handed.client,
                undo_seconds=await self.wordings.undo_seconds(who.organisation, who.person),
            )
        )
        if isinstance(result, NeedsAnswers):
            raise Broken("the walk asked a mail program for answers")
        return result.trace

    async def _mailbox(self, who: Submitter, sender: EmailAddress) -> Found | None:
        """The mailbox behind the sender's address, if it is theirs to send from; asked anew each time."""
        route = await self.directory.route(sender, from_outside=False)
        if not isinstance(route, Found):
            return None
        rights = await self.directory.rights_of(who.organisation, who.person)
        allowed = is_allowed(rights, Verb.MAILBOX_SEND, OnMailbox(route.mailbox, route.organisation))
        return route if allowed else None


async def serve_submission(
    areas: Areas,
    outbound: Outbound,
    tls: ServerTls,
    starttls: Sequence[socket.socket],
    implicit: Sequence[socket.socket],
) -> None:
    """Serve until cancelled; messages in hand are finished first."""
    server = submission_server(areas, outbound, tls)
    stop = asyncio.Event()
    with areas.identity.revocations.watch(server.revoke):
        serving = asyncio.ensure_future(server.serve(starttls, stop, implicit=implicit))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([serving])
            raise


def submission_server(areas: Areas, outbound: Outbound, tls: ServerTls) -> SmtpServer:
    settings = areas.settings
    limits = _limits(settings)
    folder = settings.path(settings.submission.spool)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SmtpServer(
        relay=Submissions(
            door=SubmissionWalk(areas.identity.app_passwords, areas.directory.look, outbound, wordings(areas)),
            spools=Spools(folder, SpoolLimits(disk_free_min=settings.limits.disk_free_mb * _MEGABYTE)),
            throttle=Throttle(limits),
            settings=SubmissionSettings(hostname=settings.service.hostname, limits=limits),
        ),
        tls=lambda: tls.context,
    )


def _limits(settings: Settings) -> SmtpLimits:
    given = settings.submission
    return SmtpLimits(
        message_max_mb=settings.smtp.message_max_mb,
        # One more than the walk allows: it then refuses in words of its own instead of taking half of them.
        recipients_max=max(100, settings.mail_out.recipients_a_message + 1),
        connections_total=given.connections_max,
        connections_per_client=given.connections_per_client,
        shutdown_grace=max(1.0, settings.workers.stop_seconds - 2),
    )
