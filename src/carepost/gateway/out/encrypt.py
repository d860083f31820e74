"""Encrypting what is relayed, for correspondents whose certificate the organisation trusts. S/MIME, R126.

Promises
    Whoever has a certificate here is sent nothing over email that is not encrypted for it: where that cannot be, the
    message is held for a person, for them alone.
    Encrypted last, after the disclaimer and the signature, and before DKIM. The copy in Sent stays as it was (R129).
    Which way a message goes is not decided here: a certificate makes nobody secure who is not on the register.
"""

import os
from collections.abc import Collection, Mapping
from typing import Protocol

from carepost.base.address import EmailAddress
from carepost.base.errors import NotPossible
from carepost.base.ids import OrganisationId
from carepost.message.parse import parse
from carepost.message.smime import encrypt, is_encrypted
from carepost.store.correspondent_certificates import Unusable, Usable

_NOT_SEALED = Unusable("the message cannot be encrypted for it")


class EncryptsMail(Protocol):
    async def certificates(
        self, organisation: OrganisationId, addresses: Collection[EmailAddress]
    ) -> Mapping[str, Usable | Unusable]:
        """By the key of the address; who is not among them gets mail as always. Raises rather than not knowing."""
        ...


class NobodyEncrypts:
    async def certificates(
        self,
        organisation: OrganisationId,  # noqa: ARG002 - nobody does
        addresses: Collection[EmailAddress],  # noqa: ARG002
    ) -> Mapping[str, Usable | Unusable]:
        return {}


def encrypted(raw: bytes, found: Usable | Unusable) -> bytes | Unusable:
    """The message as it leaves for that certificate. What a mail program encrypted stays as it is. CPU only."""
    if isinstance(found, Unusable) or is_encrypted(parse(raw)):
        return found if isinstance(found, Unusable) else raw
    try:
        return encrypt(raw, [found.certificate], at=found.at, chance=os.urandom)
    except NotPossible:
        return _NOT_SEALED


def held_words(unusable: Unusable) -> str:
    """For the sender, and for whoever looks after what is held."""
    return (
        f"It is held here: mail to them leaves encrypted with S/MIME, and their certificate cannot be used: "
        f"{unusable.why}. An administrator can import a new one and let it go, or send it by a secure link."
    )
