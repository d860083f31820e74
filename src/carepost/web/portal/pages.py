"""The pages of the portal: start, code, phrase, read, download, answer, ask, log. Four steps from notice to text.

Promises
    Reading is: open the link, press the button, type the code, read. A phrase is one page more.
    What a stranger laid out is shown in a sandboxed frame on a route of its own; text is shown as text.
    A download asks every second whether it still may, and breaks off when it may not.
"""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

from starlette.responses import HTMLResponse, Response, StreamingResponse

from carepost.base.errors import Malformed, NotPossible
from carepost.message.model import Message
from carepost.message.summary import summarise
from carepost.portal.model import Agreed, Kind, SecureMessage, Step, What
from carepost.portal.reading import AskAgain, Tried
from carepost.portal.replying import TEXT_MAX, Written
from carepost.web.cleaning import clean, read
from carepost.web.content.site import disposition
from carepost.web.mail.letter import bodies_of, kind_words, plain_text
from carepost.web.mail.pages import size_words
from carepost.web.portal.files import fetch, large_files
from carepost.web.portal.passkeys import passkey_doors
from carepost.web.portal.site import Call, PortalDoor

_FRAME = (Path(__file__).parent.parent / "content" / "page.html").read_text()
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_PICTURE_OCTETS_MAX = 2_000_000
_PIECE = 256 << 10
_LOG_WORDS = {
    What.MADE: "The message was sent",
    What.CODE_SENT: "A code was sent",
    What.WRONG: "A wrong code or phrase was tried",
    What.OPENED: "Somebody proved who they are",
    What.READ: "The message was shown",
    What.DOWNLOADED: "A file was downloaded",
    What.REPLIED: "An answer was sent",
    What.ASKED: "Somebody else asked for access",
    What.FROZEN: "It was shut after too many wrong tries",
    What.EXTENDED: "It was given more time",
    What.CONFIRMED: "Somebody answered that this is them",
    What.DENIED: "Somebody answered that this is not them",
    What.PASSKEY_KEPT: "A passkey was kept",
    What.PASSKEY_REMOVED: "A passkey was removed",
    What.PASSKEY_COPIED: "A passkey that seems to be copied was tried",
}


@dataclass(frozen=True, slots=True)
class FileView:
    name: str
    kind: str
    size: str
    href: str


@dataclass(frozen=True, slots=True)
class LogLine:
    at: str
    says: str
    where: str


def portal_doors() -> tuple[PortalDoor, ...]:
    return (
        PortalDoor(path="/", method="GET", enter=_about),
        PortalDoor(path="/m/{link}", method="GET", enter=_start),
        PortalDoor(path="/m/{link}", method="POST", enter=_begin, proved=False),
        PortalDoor(path="/r/{name}", method="GET", enter=_here),
        PortalDoor(path="/r/{name}/code", method="POST", enter=_code),
        PortalDoor(path="/r/{name}/again", method="POST", enter=_again),
        PortalDoor(path="/r/{name}/phrase", method="POST", enter=_phrase),
        PortalDoor(path="/r/{name}/text", method="GET", enter=_text, framed=True),
        PortalDoor(path="/r/{name}/file/{part}", method="GET", enter=_file),
        PortalDoor(path="/r/{name}/large/{file}", method="GET", enter=fetch),
        PortalDoor(path="/r/{name}/answer", method="GET", enter=_answer),
        PortalDoor(path="/r/{name}/answer", method="POST", enter=_send, takes_files=True),
        PortalDoor(path="/r/{name}/confirm", method="POST", enter=_confirm),
        PortalDoor(path="/r/{name}/log", method="GET", enter=_log),
        PortalDoor(path="/r/{name}/ask", method="GET", enter=_ask_form),
        PortalDoor(path="/r/{name}/ask", method="POST", enter=_ask),
        PortalDoor(path="/r/{name}/leave", method="POST", enter=_leave),
        *passkey_doors(),
    )


# --- the way in -----------------------------------------------------------------------------------------------------


async def _about(call: Call) -> Response:
    return call.page("about.html")


async def _start(call: Call) -> Response:
    """The same page for every link, ours or not: nothing is looked up."""
    return call.page("start.html")


async def _begin(call: Call) -> Response:
    if call.form.text("with") == "passkey":
        browser, has = await call.site.passkeys.begin(call.request.path_params["link"], call.client)
        return call.go(f"/r/{browser.name}/passkey" if has else f"/r/{browser.name}", browser=browser)
    browser = await call.site.reading.begin(call.request.path_params["link"], call.client)
    return call.go(f"/r/{browser.name}", browser=browser)


async def _here(call: Call) -> Response:
    standing = await call.site.reading.stand(call.browser)
    if standing.step is Step.OPEN:
        if standing.message.kind is Kind.INVITATION:
            return await _answer(call)
        if standing.message.kind is Kind.CONFIRMATION:
            return await _is_this_you(call, standing.message)
        return await _letter(call)
    return _proof_page(call, standing.message, standing.step)


def _proof_page(call: Call, message: SecureMessage, step: Step, *, wrong: str = "", status: int = 200) -> Response:
    if wrong:
        call.form.wrong("phrase" if step is Step.PHRASE else "code", wrong)
    template = "phrase.html" if step is Step.PHRASE else "code.html"
    call.form.values = {}  # a code or a phrase is never shown again
    return call.page(
        template,
        status=status,
        form=call.form,
        by_text=step is Step.TEXT,
        asked=message.kind is Kind.CONFIRMATION,
        birth=message.details.agreed is Agreed.BIRTH,
        digits=call.site.policy.code_digits,
        minutes=int(call.site.policy.code_lasts.total_seconds() // 60),
    )


async def _code(call: Call) -> Response:
    proof = await call.site.reading.give_code(call.browser, call.form.text("code"))
    return await _after(call, proof.tried, proof.token, "That is not the code. Check it and try again.")


async def _phrase(call: Call) -> Response:
    proof = await call.site.reading.give_phrase(call.browser, call.form.text("phrase"))
    return await _after(call, proof.tried, proof.token, "That is not what was agreed. Try again, or telephone them.")


async def _after(call: Call, tried: Tried, token: str, wrong: str) -> Response:
    if tried is Tried.RIGHT:
        browser = call.browser
        return call.go(call.at, browser=type(browser)(name=browser.name, token=token, client=browser.client))
    standing = await call.site.reading.stand(call.browser)  # raises Frozen, in words
    if tried is Tried.OVER:
        wrong = "This code no longer works: its time is over, or it was tried too often. Ask for a new one below."
    return _proof_page(call, standing.message, standing.step, wrong=wrong, status=400)


async def _again(call: Call) -> Response:
    await call.site.reading.send_again(call.browser)
    return call.go(call.at)


async def _leave(call: Call) -> Response:
    await call.site.reading.leave(call.browser)
    return call.forget(call.page("left.html", at=""))


# --- reading --------------------------------------------------------------------------------------------------------


async def _letter(call: Call) -> Response:
    message, raw = await call.site.reading.open(call.browser, reads=True)
    mime = await read(raw)
    bodies, summary = bodies_of(mime), summarise(mime)
    as_html = bodies.html is not None and (bodies.plain is None or call.request.query_params.get("as") == "html")
    files = [
        FileView(name, kind_words(kind, name), size_words(octets * 57 // 78), f"{call.at}/file/{path}")
        for path, name, kind, octets in summary.attachments
    ]
    return call.page(
        "letter.html",
        subject=summary.subject or "No subject",
        sender=message.details.sender_name or message.details.sender,
        sender_address=message.details.sender,
        organisation=message.details.organisation_name,
        when=_time(call, message.made_at),
        until=_day(call, message.expires_at),
        text=plain_text(mime, bodies.plain[1]) if bodies.plain and not as_html else "",
        frame_at=f"{call.at}/text" if as_html else "",
        other=("text" if as_html else "html") if bodies.plain and bodies.html else "",
        files=files,
        large=await large_files(call, message),
        may_answer=message.replies < call.site.policy.replies_max,
        has_passkey=await call.site.passkeys.is_enough(message),
        answered=call.request.query_params.get("sent") == "1",
    )


async def _text(call: Call) -> Response:
    """What they laid out, in its frame: cleaned, its own pictures within it, nothing loaded from anywhere."""
    _, raw = await call.site.reading.open(call.browser)
    mime = await read(raw)
    bodies = bodies_of(mime)
    if bodies.html is None:
        raise NotPossible("This message has no text with layout.")
    pictures = {part.content_id: part for _, part in mime.leaves() if part.content_id and part.media_type in _PICTURES}

    def address_of(content_id: str) -> str | None:
        part = pictures.get(content_id) or pictures.get(f"<{content_id}>")
        if part is None:
            return None
        octets = mime.body_bytes(part)
        if len(octets) > _PICTURE_OCTETS_MAX:
            return None
        return f"data:{part.media_type};base64,{b64encode(octets).decode()}"

    safe = await clean(mime.text(bodies.html[1]), image_at=address_of)
    told = "".join(f"<p><strong>{escape(finding.says)}</strong></p>" for finding in safe.findings)
    return HTMLResponse(_FRAME + told + safe.html + "</body></html>")


async def _file(call: Call) -> Response:
    message, raw = await call.site.reading.open(call.browser)
    mime = await read(raw)
    part = mime.part_at(call.request.path_params["part"])
    if part is None or part.children:
        raise NotPossible("This message has no such file.")
    octets = await asyncio.to_thread(mime.body_bytes, part)
    await call.site.reading.downloaded(call.browser, message, hashlib.sha256(octets).hexdigest())
    return StreamingResponse(
        _pieces(call, octets),
        media_type="application/octet-stream",
        headers={
            "content-length": str(len(octets)),
            "content-disposition": disposition("attachment", part.filename or "file"),
            "content-security-policy": "sandbox; default-src 'none'",
        },
    )


async def _pieces(call: Call, octets: bytes) -> AsyncIterator[bytes]:
    """Piece by piece. What was promised in content-length and does not come tells the browser that it broke off."""
    clock, recheck = call.site.reading.messages.clock, call.site.policy.recheck
    asked = clock.now()
    for at in range(0, len(octets), _PIECE):
        if clock.now() - asked >= recheck:
            if not await call.site.reading.may_still(call.browser):
                raise AskAgain
            asked = clock.now()
        yield octets[at : at + _PIECE]


async def _log(call: Call) -> Response:
    happened = await call.site.reading.own_log(call.browser)
    lines = [LogLine(_time(call, one.at), _LOG_WORDS[one.what], one.note) for one in happened if one.what in _LOG_WORDS]
    return call.page("log.html", lines=lines)


# --- answering ------------------------------------------------------------------------------------------------------


async def _answer(call: Call, *, status: int = 200) -> Response:
    message, raw = await call.site.reading.open(call.browser)
    others: list[str] = []
    subject = ""
    if raw:
        mime: Message = await read(raw)
        subject = summarise(mime).subject or "No subject"
        others = [str(one) for one in await call.site.replying.others(message, mime)]
    return call.page(
        "answer.html",
        status=status,
        form=call.form,
        invited=message.kind is Kind.INVITATION,
        subject=subject,
        to=message.details.sender_name or message.details.sender,
        organisation=message.details.organisation_name,
        others=others,
        megabytes=call.site.policy.reply_mb,
        left=call.site.policy.replies_max - message.replies,
        most=TEXT_MAX,
        answered=call.request.query_params.get("sent") == "1",
    )


async def _send(call: Call) -> Response:
    written = Written(
        text=call.form.words("text", TEXT_MAX),
        files=tuple((one.name, one.media_type, one.content) for one in call.form.files),
        to_all=call.form.text("to") == "all",
        subject=call.form.text("subject"),
    )
    try:
        await call.site.replying.reply(call.browser, written)
    except (Malformed, NotPossible) as error:
        if isinstance(error, Malformed) or "megabytes" in error.public:
            call.form.wrong("text", error.public)
            return await _answer(call, status=400)
        raise
    return call.go(f"{call.at}?sent=1")


async def _is_this_you(call: Call, message: SecureMessage, *, status: int = 200) -> Response:
    """Who asks, and two buttons; afterwards what was said."""
    said = await call.site.confirming.answered(message)
    return call.page(
        "confirm.html",
        status=status,
        form=call.form,
        organisation=message.details.organisation_name,
        sender=message.details.sender_name or message.details.sender,
        address=message.details.address,
        said="" if said is None else said.value,
    )


async def _confirm(call: Call) -> Response:
    said = call.form.text("is-this-you")
    if said not in {"yes", "no"}:
        raise Malformed("Choose one of the two buttons.")
    await call.site.confirming.answer(call.browser, is_theirs=said == "yes")
    return call.go(call.at)


async def _ask_form(call: Call) -> Response:
    await call.site.reading.stand(call.browser)
    return call.page("ask.html", form=call.form)


async def _ask(call: Call) -> Response:
    name = call.form.require("name", "Enter your name")
    address = call.form.require("address", "Enter your email address")
    if call.form.is_right:
        try:
            await call.site.asking.ask(call.browser, name=name, address=address, words=call.form.text("words"))
        except Malformed:
            call.form.wrong("address", "Enter an email address, like name@example.org")
    if not call.form.is_right:
        return call.page("ask.html", status=400, form=call.form)
    return call.page("asked.html")


def _time(call: Call, at: datetime) -> str:
    local = at.astimezone(call.site.zone)
    return f"{local.day} {local:%B %Y}, {local:%H:%M}"


def _day(call: Call, at: datetime) -> str:
    local = at.astimezone(call.site.zone)
    return f"{local.day} {local:%B %Y}"
