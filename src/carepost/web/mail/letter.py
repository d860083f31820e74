"""PURE. One message, ready to be read: who sent it, what it says, what is attached.

Promises
    The text shown is a part of the message itself, never of a message that is attached to it.
    Attachments are all there, whatever their type; only kinds that a browser shows without running them may be looked
    at in it, the others can only be saved.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from carepost.message.model import Message, Part
from carepost.message.sanitise_text import text_as_html
from carepost.message.summary import Summary
from carepost.web.mail.pages import Trust, size_words
from carepost.web.mail.sealed import AsRead

# Shown by browsers under a sandbox without running anything. SVG is not among them: it is a program.
VIEWABLE = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain", "text/csv", "application/pdf"}
)
_KINDS = {
    "application/pdf": "PDF",
    "application/msword": "Word document",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word document",
    "application/vnd.ms-excel": "Excel workbook",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel workbook",
    "application/zip": "ZIP archive",
    "application/dicom": "DICOM image",
    "message/rfc822": "Attached message",
    "text/calendar": "Calendar entry",
    "text/csv": "CSV table",
    "text/html": "Web page",
    "text/plain": "Text",
}
PACKED = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_SIGNATURES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
TEXT_SHOWN_MAX = 1_000_000  # characters of plain text laid into the page; the rest is in the saved message


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """The parts of a message that are meant to be read: section number and part of each kind."""

    plain: tuple[str, Part] | None
    html: tuple[str, Part] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentView:
    icon: str
    name: str
    kind: str
    size: str
    scanned: str
    view: str
    save: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterView:
    """What the reading pane shows. See templates/mail/letter.html."""

    uid: int
    href: str
    back: str
    folder: str
    act: str
    move_href: str
    why_href: str
    write_at: str
    place: str  # folder and uid, as the pages of writing name a message
    subject: str
    sender: str
    address: str
    initials: str
    hue: int
    to: str
    cc: str
    at: str
    when: str
    flagged: bool
    in_archive: bool
    in_bin: bool
    trust: Trust
    seals: tuple[Trust, ...]
    findings: tuple[str, ...]
    shown_as: str
    other_href: str
    other_words: str
    frame_at: str
    own_page_href: str
    text: Markup
    attachments: tuple[AttachmentView, ...]
    sent_href: str = ""  # what became of it, of a letter that went out by the walk


def bodies_of(message: Message) -> Bodies:
    """The first text and the first HTML that are not attachments. RFC 2046 §5.1.4."""
    plain: tuple[str, Part] | None = None
    html: tuple[str, Part] | None = None
    inside = ""
    for path, part in message.walk():
        if inside and (path == inside or path.startswith(inside + ".")):
            continue
        if part.message is not None:
            inside = path
        elif not part.children and not part.is_attachment():
            if part.media_type == "text/plain" and plain is None:
                plain = (path, part)
            elif part.media_type == "text/html" and html is None:
                html = (path, part)
    return Bodies(plain=plain, html=html)


def shown_bodies(seen: AsRead) -> Bodies:
    """Nothing of a message that is shut; no layout where somebody on the way could have bent it."""
    if seen.is_shut:
        return Bodies(plain=None, html=None)
    bodies = bodies_of(seen.message)
    return Bodies(plain=bodies.plain, html=None) if seen.plain_only else bodies


def shown_attachments(seen: AsRead, summary: Summary) -> tuple[tuple[str, str, str, int], ...]:
    """Without the signature itself, which the page has told of."""
    told = _SIGNATURES if seen.notices and not seen.is_shut else frozenset[str]()
    return () if seen.is_shut else tuple(one for one in summary.attachments if one[2] not in told)


def plain_text(message: Message, part: Part) -> Markup:
    """The text as the page's own HTML: every character escaped, addresses of the web made into links."""
    text = message.text(part)
    shown = text_as_html(text[:TEXT_SHOWN_MAX])
    if len(text) > TEXT_SHOWN_MAX:
        shown += "\n\n(The rest is not shown here: the message is very long.)"
    return Markup(shown)  # noqa: S704 - escaped by text_as_html, which promises so


def is_viewable(media_type: str) -> bool:
    return media_type in VIEWABLE


def kind_words(media_type: str, name: str) -> str:
    """What people call it: by its type, or by the end of its name."""
    if media_type in _KINDS:
        return _KINDS[media_type]
    if media_type.startswith("image/"):
        return media_type.removeprefix("image/").upper().split("+", maxsplit=1)[0] + " picture"
    extension = name.rpartition(".")[2] if "." in name else ""
    return extension.upper()[:8] + " file" if extension.isalnum() else "File"


def attachment_views(
    attachments: Sequence[tuple[str, str, str, int]], *, at: str, scanned: str, may_save: bool
) -> tuple[AttachmentView, ...]:
    """`at` is the address of the message; on a shared computer nothing is saved (R194)."""
    return tuple(
        AttachmentView(
            icon="picture" if media_type.startswith("image/") else "file",
            name=name,
            kind=kind_words(media_type, name),
            size=size_words(_decoded(octets, media_type)),
            scanned=scanned,
            view=f"{at}/part/{path}?do=view" if is_viewable(media_type) else "",
            save=f"{at}/part/{path}?do=save" if may_save else "",
        )
        for path, name, media_type, octets in attachments
    )


def _decoded(octets: int, media_type: str) -> int:
    # Base64 spends 78 octets on 57 (RFC 2045 §6.8); nearly every attachment that is no text is sent so.
    return octets if media_type.startswith("text/") else octets * 57 // 78
