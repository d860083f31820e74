"""The content origin: hostile bodies and attachments, shown where nothing of ours is within their reach.

Promises
    No cookie is read or set here; who may look is sealed into the address for some minutes, and asked again each time:
    who signed out, lost the mailbox or whose account was closed sees nothing more.
    Every answer, errors too, carries the content policy: no script, no form, no fetch elsewhere, framed by us only.
    A body is what `message.sanitise` returned, unedited; an attachment is its bytes, never as an active type.
"""

from dataclasses import dataclass
from datetime import timedelta
from html import escape
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from carepost.base.errors import MailError, NotPossible
from carepost.base.ids import FolderId, MailboxId, OrganisationId, PersonId, SessionId
from carepost.directory.access import OnMailbox, Verb, authorize
from carepost.directory.service import Directory
from carepost.identity.sessions import Sessions
from carepost.message.model import Message, Part
from carepost.message.sanitise import SafeHtml
from carepost.message.showing import clean_filename
from carepost.store.messages import MessageStore
from carepost.store.model import MailboxRef
from carepost.web.cleaning import clean, read
from carepost.web.headers import content_headers
from carepost.web.mail.letter import bodies_of, is_viewable
from carepost.web.mail.sealed import SealedMail
from carepost.web.model import WebPolicy
from carepost.web.sealing import ContentNote, Notes

_PAGE = (Path(__file__).parent / "page.html").read_text()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentSite:
    policy: WebPolicy
    notes: Notes
    directory: Directory
    messages: MessageStore
    sessions: Sessions
    sealed: SealedMail | None = None

    def build(self) -> Starlette:
        route = Route("/c/{note}", self._answer, methods=["GET"])
        return Starlette(routes=[route], exception_handlers={404: self._nothing, 500: self._nothing})

    async def _answer(self, request: Request) -> Response:
        try:
            note = self.notes.open(ContentNote, request.path_params["note"], bound_to="")
            message = await self._message(note)
            response = await self._show(note, message)
        except MailError as error:
            response = HTMLResponse(_sorry(error.public), status_code=404)
        return self._with_headers(response)

    async def _nothing(self, _request: Request, _error: Exception) -> Response:
        return self._with_headers(HTMLResponse(_sorry("There is nothing here."), status_code=404))

    def _with_headers(self, response: Response) -> Response:
        for name, value in content_headers(web_origin=self.policy.web_origin, secure=self.policy.is_secure).items():
            response.headers[name] = value
        return response

    async def _message(self, note: ContentNote) -> Message:
        organisation, mailbox = OrganisationId(note.organisation), MailboxId(note.mailbox)
        person = PersonId(note.person)
        if not await self.sessions.is_open(organisation, person, SessionId(note.session)):
            raise NotPossible("You have signed out. Sign in and open the message again.")
        rights = await self.directory.rights_of(organisation, person)
        authorize(rights, Verb.MAILBOX_READ, OnMailbox(mailbox, organisation))
        where = MailboxRef(mailbox, organisation)
        raw = await self.messages.body(where, FolderId(note.folder), note.uid)
        rows = await self.messages.rows(where, FolderId(note.folder), [note.uid]) if raw and self.sealed else []
        if raw is None or (self.sealed is not None and not rows):
            raise NotPossible("This message is no longer in this folder.")
        message = await read(raw)
        if self.sealed is None:
            return message
        seen = await self.sealed.as_read(where, message, at=rows[0].internal_date, trace=rows[0].trace)
        if seen.is_shut or (seen.plain_only and note.mode in {"body", "page"}):
            raise NotPossible("This message is not shown. Open it in the mailbox: it says why.")
        return seen.message

    async def _show(self, note: ContentNote, message: Message) -> Response:
        if note.mode in {"body", "page"}:
            return await self._body(note, message)
        part = message.part_at(note.part)
        if part is None or part.children:
            raise NotPossible("This message has no such attachment.")
        return attachment_response(message, part, as_view=note.mode == "view")

    async def _body(self, note: ContentNote, message: Message) -> Response:
        bodies = bodies_of(message)
        if bodies.html is None:
            raise NotPossible("This message has no text with layout.")
        html = message.text(bodies.html[1])
        pictures = {part.content_id: path for path, part in message.leaves() if part.content_id}

        def address_of(content_id: str) -> str | None:
            path = pictures.get(content_id) or pictures.get(f"<{content_id}>")
            return self._picture(note, path) if path else None

        safe = await clean(html, image_at=address_of)
        # In our own page the findings stand outside the frame, where no message can imitate them (M10).
        told = _findings(safe) if note.mode == "page" else ""
        return HTMLResponse(_PAGE + told + safe.html + "</body></html>")

    def _picture(self, note: ContentNote, path: str) -> str:
        picture = ContentNote(
            note.organisation, note.person, note.session, note.mailbox, note.folder, note.uid, path, "view"
        )
        sealed = self.notes.seal(picture, bound_to="", lasts=timedelta(seconds=self.policy.content_link_seconds))
        return f"/c/{sealed}"


def attachment_response(message: Message, part: Part, *, as_view: bool) -> Response:
    """An attachment's bytes. Looked at only if a browser shows its type without running it; else it is a download."""
    name = part.filename or "attachment"
    view = as_view and is_viewable(part.media_type)
    media_type = part.media_type if view else "application/octet-stream"
    if view and media_type.startswith("text/"):
        # As text, whatever it is: a table is read, not opened by a program.
        body, media_type = message.text(part).encode(), "text/plain; charset=utf-8"
    else:
        body = message.body_bytes(part)
    return Response(
        body,
        media_type=media_type,
        headers={"content-disposition": disposition("inline" if view else "attachment", name)},
    )


def disposition(kind: str, name: str) -> str:
    """Content-Disposition with a name for every browser. RFC 6266 §4.3 and appendix D, RFC 8187."""
    name = clean_filename(name)
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _findings(safe: SafeHtml) -> str:
    """Above the message, in our words: what was withheld and which links mislead. Escaped: hosts are a stranger's."""
    if not safe.findings:
        return ""
    lines = "".join(f"<li>{escape(finding.says)}</li>" for finding in safe.findings)
    return (
        '<ul style="margin:0 0 14px;padding:10px 12px 10px 30px;border-left:6px solid #b26b00;background:#fff4d6;'
        f'color:#5c3600;font-size:15px">{lines}</ul>'
    )


def _sorry(says: str) -> str:
    return f"{_PAGE}<p>{escape(says)}</p></body></html>"
