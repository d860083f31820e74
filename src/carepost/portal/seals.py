"""What the portal seals: content, each under a key of its own; who reads and who wrote; where a reader came from.

Promises
    The key of a content is sealed to the organisation; at L2 it is wrapped by the agreed phrase before that, so that
    neither the database nor the root key opens it without the phrase.
    A phrase is tried by Argon2id (64 MiB, three passes), a few at a time, and is kept nowhere.
"""

import asyncio
from dataclasses import dataclass, field

import msgspec
from argon2.low_level import Type, hash_secret_raw

from carepost.base.ids import ObjectId, OrganisationId, TraceId
from carepost.infra import vault
from carepost.infra.db import Transaction
from carepost.portal.model import Agreed, Details
from carepost.store.keys import Keystore

SALT_BYTES = 16
_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PhrasePolicy:
    # RFC 9106 §4, second recommended option: 64 MiB, three passes.
    memory_kib: int = 64 * 1024
    passes: int = 3


class _Details(msgspec.Struct, frozen=True, array_like=True):
    """New fields go at the end, with a default: old messages are stored."""

    address: str
    sender: str
    sender_name: str
    organisation_name: str
    agreed: str = Agreed.PHRASE.value
    telephone: str = ""


class _Request(msgspec.Struct, frozen=True, array_like=True):
    name: str
    address: str
    words: str


_ENCODER = msgspec.msgpack.Encoder()
_DETAILS = msgspec.msgpack.Decoder(_Details)
_REQUEST = msgspec.msgpack.Decoder(_Request)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalSeals:
    keys: Keystore
    policy: PhrasePolicy = field(default_factory=PhrasePolicy)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE), repr=False)

    async def phrase_key(self, phrase: str, salt: bytes) -> bytes:
        """The key that an agreed phrase, normalised, gives. CPU in a thread."""
        async with self._slots:
            return await asyncio.to_thread(
                hash_secret_raw,
                phrase.encode(),
                salt,
                time_cost=self.policy.passes,
                memory_cost=self.policy.memory_kib,
                parallelism=1,
                hash_len=vault.KEY_BYTES,
                type=Type.ID,
            )

    async def wrap(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        object_id: ObjectId,
        key: bytes,
        *,
        phrase_key: bytes | None,
    ) -> bytes:
        inner = key if phrase_key is None else vault.wrap_key(phrase_key, _phrase_aad(organisation, object_id), key)
        return await self.keys.seal_column(
            tx, organisation, context="secure_message.wrapped", row=object_id.hex(), plaintext=inner
        )

    async def unwrap(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        object_id: ObjectId,
        wrapped: bytes,
        *,
        phrase_key: bytes | None,
    ) -> bytes:
        """Raises DoesNotOpen when the phrase is not the one that was agreed."""
        inner = await self.keys.open_column(
            tx, organisation, context="secure_message.wrapped", row=object_id.hex(), sealed=wrapped
        )
        if phrase_key is None:
            if len(inner) != vault.KEY_BYTES:
                raise vault.DoesNotOpen("This message opens with an agreed phrase only.")
            return inner
        return vault.unwrap_key(phrase_key, b"", _phrase_aad(organisation, object_id), inner)

    async def seal_details(
        self, tx: Transaction, organisation: OrganisationId, lookup: bytes, details: Details
    ) -> bytes:
        written = _Details(
            details.address,
            details.sender,
            details.sender_name,
            details.organisation_name,
            details.agreed.value,
            details.telephone,
        )
        return await self.keys.seal_column(
            tx, organisation, context="secure_message.details", row=lookup.hex(), plaintext=_ENCODER.encode(written)
        )

    async def open_details(
        self, tx: Transaction, organisation: OrganisationId, lookup: bytes, sealed: bytes
    ) -> Details:
        plain = await self.keys.open_column(
            tx, organisation, context="secure_message.details", row=lookup.hex(), sealed=sealed
        )
        read = _DETAILS.decode(plain)
        return Details(
            address=read.address,
            sender=read.sender,
            sender_name=read.sender_name,
            organisation_name=read.organisation_name,
            agreed=Agreed(read.agreed),
            telephone=read.telephone,
        )

    async def seal_note(self, tx: Transaction, organisation: OrganisationId, message: int, note: str) -> bytes:
        return await self.keys.seal_column(
            tx, organisation, context="portal_event.details", row=str(message), plaintext=note.encode()
        )

    async def open_note(self, tx: Transaction, organisation: OrganisationId, message: int, sealed: bytes) -> str:
        plain = await self.keys.open_column(
            tx, organisation, context="portal_event.details", row=str(message), sealed=sealed
        )
        return plain.decode()

    async def seal_request(
        self, tx: Transaction, organisation: OrganisationId, message: int, *, name: str, address: str, words: str
    ) -> bytes:
        plain = _ENCODER.encode(_Request(name, address, words))
        return await self.keys.seal_column(
            tx, organisation, context="portal_request.details", row=str(message), plaintext=plain
        )

    async def open_request(
        self, tx: Transaction, organisation: OrganisationId, message: int, sealed: bytes
    ) -> tuple[str, str, str]:
        """(name, address, words)."""
        plain = await self.keys.open_column(
            tx, organisation, context="portal_request.details", row=str(message), sealed=sealed
        )
        read = _REQUEST.decode(plain)
        return read.name, read.address, read.words


def seal_for_browser(token_key: bytes, trace: TraceId, key: bytes) -> bytes:
    """The phrase's key, for the session's row: only the browser's cookie opens it."""
    return vault.wrap_key(token_key, vault.bound("portal session", trace), key)


def open_for_browser(token_key: bytes, trace: TraceId, sealed: bytes) -> bytes:
    return vault.unwrap_key(token_key, b"", vault.bound("portal session", trace), sealed)


def _phrase_aad(organisation: OrganisationId, object_id: ObjectId) -> bytes:
    return vault.bound("portal phrase", organisation, object_id)
