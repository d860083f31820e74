"""Small sealed notes that travel through a browser: links to content, Undo, the proof that a form is ours.

Promises
    What comes back is what we wrote, for the person and session we wrote it for, and not after its time.
    Nothing can be read from one: a link to content tells nobody which mailbox it opens.
    A note of one kind never passes for another.

Workers share one secret, so any of them opens what another wrote; nothing is stored.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from carepost.base.clock import Clock
from carepost.base.errors import Broken, Malformed, NotPossible
from carepost.infra import vault

NOTE_MAX = 6_000  # characters: browsers and servers carry 8,000 of a URL


class ContentNote(msgspec.Struct, frozen=True, array_like=True):
    """Leave to look at one part of one message for a few minutes."""

    organisation: int
    person: int
    session: int
    mailbox: int
    folder: int
    uid: int
    part: str  # section number; "" is the body to read
    mode: str  # "body" in our frame, "page" by itself, "view" or "save" an attachment


class SaidNote(msgspec.Struct, frozen=True, array_like=True):
    """What was done, to be said on the next page, and how to take it back."""

    says: str
    mailbox: int = 0
    folder: int = 0  # where the messages lie now
    back_to: int = 0  # where they came from; 0: there is nothing to take back
    uids: tuple[int, ...] = ()
    outgoing: int = 0  # a message that waits to leave, and can be undone


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    until: int
    note: bytes


Note = TypeVar("Note", ContentNote, SaidNote)


@dataclass(frozen=True, slots=True)
class Notes:
    """Seals and opens notes. `secret` is 32 bytes that all workers share."""

    secret: bytes
    clock: Clock

    def seal(self, note: ContentNote | SaidNote, *, bound_to: str, lasts: timedelta) -> str:
        """`bound_to` is the session it works in; for content links, which have no session, "" ."""
        until = int((self.clock.now() + lasts).timestamp())
        plain = msgspec.msgpack.encode(_Envelope(until, msgspec.msgpack.encode(note)))
        sealed = vault.seal_small(self.secret, _label(type(note)), vault.bound(bound_to), plain)
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, kind: type[Note], text: str, *, bound_to: str) -> Note:
        """Raise Malformed for what we did not write, NotPossible when its time is over."""
        if not text or len(text) > NOTE_MAX:
            raise Malformed("This link is not complete.")
        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = vault.open_small(self.secret, _label(kind), vault.bound(bound_to), sealed)
            envelope = msgspec.msgpack.decode(plain, type=_Envelope)
            note = msgspec.msgpack.decode(envelope.note, type=kind)
        except (Broken, ValueError, msgspec.DecodeError) as error:
            raise Malformed("This link is not complete.") from error
        if datetime.fromtimestamp(envelope.until, tz=self.clock.now().tzinfo) < self.clock.now():
            raise NotPossible("This link has run out. Go back to the message and open it again.")
        return note

    def form_proof(self, cookie: str) -> str:
        """What a form carries to show that it is ours: nobody else can make it, and it fits one cookie only."""
        digest = hmac.new(self.secret, b"carepost form\x00" + cookie.encode(), hashlib.sha256).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    def is_ours(self, proof: str, cookie: str) -> bool:
        return hmac.compare_digest(proof.encode(), self.form_proof(cookie).encode())


def _label(kind: type[msgspec.Struct]) -> bytes:
    return b"carepost web " + kind.__name__.encode()
