"""May this certificate speak for this address? RFC 8550, RFC 5280. PURE: the time and whom we trust are arguments.

Promises
    Yes only if somebody we trust vouches for it at that time, it is for that use of mail, it was not withdrawn, and it
    holds the very address, letter by letter before the "@".
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from carepost.message.smime_model import Fault, Signer, Trust
from carepost.message.smime_signed import Rejected

_CHAIN_MAX = 5
_RSA_BITS_MIN = 2_048


def vouched_for(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    *,
    address: str,
    trust: Trust,
    at: datetime,
    sealing: bool = False,
) -> Signer:
    """Who the certificate says that `address` is; `sealing`: to encrypt to them, not to believe what they sign.

    Raises Rejected.
    """
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise Rejected(Fault.EXPIRED)
    fingerprint = certificate.fingerprint(hashes.SHA256())
    if fingerprint in trust.withdrawn:
        raise Rejected(Fault.REVOKED)
    if not (_is_for_sealing_mail(certificate, at) if sealing else _is_for_signing_mail(certificate)):
        raise Rejected(Fault.WRONG_USE)
    _check_chain(certificate, others, trust, at)
    if not any(_same(address, one) for one in addresses_in(certificate)):
        raise Rejected(Fault.NOT_THE_AUTHOR)
    return Signer(
        address=address,
        name=_common_name(certificate.subject) or address,
        issuer=_common_name(certificate.issuer) or certificate.issuer.rfc4514_string(),
        until=certificate.not_valid_after_utc,
        fingerprint=fingerprint,
    )


def addresses_in(certificate: x509.Certificate) -> list[str]:
    """RFC 8550 §3: the alternative names; the old attribute of the subject only where there are none."""
    with suppress(x509.ExtensionNotFound, ValueError):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.RFC822Name)
    return [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)]


def may_encrypt_to(certificate: x509.Certificate, at: datetime) -> bool:
    """Whether mail may be encrypted for it: in its time, and for that use."""
    with suppress(x509.ExtensionNotFound):
        if not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_encipherment:
            return False
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc and _is_for_mail(certificate)


def _same(author: str, named: str) -> bool:
    """RFC 5280 §7.5: the local part exactly, the domain in any case. Nothing but ASCII is compared."""
    if not (author.isascii() and named.isascii() and author.isprintable() and named.isprintable()):
        return False
    local, at, domain = author.rpartition("@")
    other_local, other_at, other_domain = named.rpartition("@")
    same = local == other_local and domain.lower() == other_domain.lower()
    return bool(at and other_at and local and domain) and same


def _is_for_mail(certificate: x509.Certificate) -> bool:
    with suppress(x509.ExtensionNotFound):
        if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    with suppress(x509.ExtensionNotFound):
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        return ExtendedKeyUsageOID.EMAIL_PROTECTION in uses or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses
    return True


def _is_for_signing_mail(certificate: x509.Certificate) -> bool:
    try:
        with suppress(x509.ExtensionNotFound):
            usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
            if not (usage.digital_signature or usage.content_commitment):
                return False
        return _is_for_mail(certificate)
    except ValueError:
        return False


def _is_for_sealing_mail(certificate: x509.Certificate, at: datetime) -> bool:
    """The key is RSA of a length that is still safe: all that envelopes are sealed for."""
    try:
        key = certificate.public_key()
        safe = isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_BITS_MIN
        return safe and may_encrypt_to(certificate, at)
    except (ValueError, UnsupportedAlgorithm):
        return False


def _check_chain(certificate: x509.Certificate, others: Sequence[x509.Certificate], trust: Trust, at: datetime) -> None:
    if not trust.anchors:
        raise Rejected(Fault.NOT_TRUSTED)
    verifier = (
        PolicyBuilder()
        .store(Store(list(trust.anchors)))
        .time(at)
        .max_chain_depth(_CHAIN_MAX)
        # The uses of the last certificate are looked at above; those above it are judged as the web's are.
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    middle = [one for one in [*others, *trust.intermediates] if one != certificate]
    try:
        chain = verifier.verify(certificate, middle).chain
    except (VerificationError, ValueError):
        raise Rejected(Fault.NOT_TRUSTED) from None
    if any(one.fingerprint(hashes.SHA256()) in trust.withdrawn for one in chain):
        raise Rejected(Fault.REVOKED)


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""
