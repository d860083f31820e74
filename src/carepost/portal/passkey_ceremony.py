"""What an authenticator is asked and what it answered: WebAuthn Level 3, for one address with one organisation.

Promises
    Nothing here looks up, keeps or waits. An answer counts for one challenge, our own origin, with the owner verified.
    Whatever an answer holds, what comes of it is a value or `NotRight`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from carepost.base.errors import NotAllowed
from carepost.portal.model import PortalPolicy

ANSWER_MAX = 16 << 10  # characters; with a certificate chain some have 5,000


class NotRight(NotAllowed):
    """An authenticator's answer that does not hold."""

    def __init__(self, **private: object) -> None:
        super().__init__("The passkey could not be checked.", **private)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasskey:
    credential: bytes
    public_key: bytes
    counted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """`policy.url` is the origin, its host the relying party: a passkey kept here works nowhere else."""

    policy: PortalPolicy

    @property
    def host(self) -> str:
        return urlsplit(self.policy.url).hostname or ""

    def keep_options(
        self, challenge: bytes, *, user_handle: bytes, name: str, organisation_name: str, known: Sequence[bytes]
    ) -> str:
        """JSON for `navigator.credentials.create`."""
        options = webauthn.generate_registration_options(
            rp_id=self.host,
            rp_name=organisation_name,
            user_name=name,
            user_id=user_handle,
            challenge=challenge,
            timeout=self._milliseconds,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
        )
        return webauthn.options_to_json(options)

    def kept(self, answer: str, challenge: bytes) -> NewPasskey:
        """Raises NotRight."""
        try:
            verified = webauthn.verify_registration_response(
                credential=_read(answer),
                expected_challenge=challenge,
                expected_rp_id=self.host,
                expected_origin=self.policy.url,
                require_user_verification=True,
            )
        except Exception as error:
            # A stranger's bytes in a parser: whatever it says, the answer is no.
            raise NotRight(error=type(error).__name__) from error
        return NewPasskey(
            credential=verified.credential_id,
            public_key=verified.credential_public_key,
            counted=verified.sign_count,
        )

    def open_options(self, challenge: bytes, *, known: Sequence[bytes]) -> str:
        """JSON for `navigator.credentials.get`."""
        options = webauthn.generate_authentication_options(
            rp_id=self.host,
            challenge=challenge,
            timeout=self._milliseconds,
            allow_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return webauthn.options_to_json(options)

    def credential_of(self, answer: str) -> bytes:
        """Which passkey an answer says it comes from. Raises NotRight."""
        try:
            return base64url_to_bytes(str(_read(answer)["rawId"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotRight(error=type(error).__name__) from error

    def used(self, answer: str, challenge: bytes, public_key: bytes) -> int:
        """What its counter says now: the caller compares it. Raises NotRight."""
        try:
            verified = webauthn.verify_authentication_response(
                credential=_read(answer),
                expected_challenge=challenge,
                expected_rp_id=self.host,
                expected_origin=self.policy.url,
                credential_public_key=public_key,
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except Exception as error:
            raise NotRight(error=type(error).__name__) from error
        return verified.new_sign_count

    @property
    def _milliseconds(self) -> int:
        return int(self.policy.challenge_lasts.total_seconds() * 1000)


def _read(answer: str) -> dict[str, object]:
    if len(answer) > ANSWER_MAX:
        raise ValueError("too long")
    given = json.loads(answer)
    if not isinstance(given, dict):
        raise TypeError("not an object")
    return given
