"""S/MIME: is the message signed by its author; sign, encrypt and open one. PURE. RFC 8551, RFC 5652, M10, R126.

Promises
    VALID means: every byte that a reader is shown as the message was signed, once, by the one address in From, with a
    certificate that somebody we trust gave for that address. Whatever is less is NOT_VALID with its reason, and names
    nobody. Fields outside (subject, date, recipients) are not signed: a page must not say that they are.
    Nothing raises because of what a message holds. Time, keys, trust and chance are arguments.

Not here: who holds which certificate; lists of withdrawn ones (Trust.withdrawn). Pages show the state beside the
message, never within it.
"""

import base64
import re
from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from carepost.base.errors import NotPossible
from carepost.message.addresses import each, name_lies
from carepost.message.compose import multipart
from carepost.message.defects import Defect
from carepost.message.model import Message, Part
from carepost.message.parse import parse
from carepost.message.smime_enveloped import Method, is_envelope, open_envelope, seal_envelope
from carepost.message.smime_model import Fault, NotOpened, Opened, Signature, SignatureState, Signer, Trust
from carepost.message.smime_signed import Rejected, SignedData, check_signers, read_signed_data
from carepost.message.smime_trust import addresses_in, may_encrypt_to, vouched_for

__all__ = [
    "Fault", "Method", "NotOpened", "Opened", "Signature", "SignatureState", "Signer", "Trust", "encrypt",
    "is_encrypted", "is_envelope", "open_message", "sign", "unwrapped", "verify",
]  # fmt: skip

_SIGNATURES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
_PACKED = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
# Any of these, and two programs may show two different messages: one of them was not signed.
_AMBIGUOUS = frozenset(
    {
        Defect.TOO_DEEP, Defect.TOO_MANY_PARTS, Defect.NO_BOUNDARY, Defect.BOUNDARY_NEVER_FOUND,
        Defect.BOUNDARY_NEVER_CLOSED, Defect.BOUNDARY_LOOKALIKE, Defect.BOUNDARY_REUSED, Defect.PARTS_AFTER_CLOSE,
        Defect.MULTIPART_ENCODED, Defect.MESSAGE_ENCODED, Defect.MESSAGE_PARTIAL, Defect.EXTERNAL_BODY,
        Defect.HEADER_TOO_LARGE, Defect.TOO_MANY_HEADERS, Defect.TOO_MANY_PARAMETERS, Defect.BAD_HEADER_LINE,
        Defect.SPACE_BEFORE_COLON, Defect.NO_BLANK_LINE, Defect.DUPLICATE_CONTENT_TYPE, Defect.DUPLICATE_ENCODING,
        Defect.DUPLICATE_DISPOSITION, Defect.DUPLICATE_PARAMETER, Defect.BAD_CONTENT_TYPE,
        Defect.COMMENT_IN_MIME_HEADER, Defect.DUPLICATE_FIELD, Defect.UNKNOWN_ENCODING, Defect.NUL, Defect.BARE_CR,
        Defect.BARE_LF,
    }
)  # fmt: skip
# One address and nothing that another program could take for one. RFC 5322 §3.4 without its odd corners.
_SPEC = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}"
_PHRASE = rb'(?:"[^"\\<>@,;:()\x00-\x1f\x7f-\xff]*"|[^"(),:;<>@\[\]\\\x00-\x1f\x7f-\xff]*)'
_SOLE_AUTHOR = re.compile(rb"[ \t]*(?:" + _PHRASE + rb"[ \t]*<(" + _SPEC + rb")>|(" + _SPEC + rb"))[ \t]*")
_LINE_MAX = 998  # RFC 5322 §2.1.1
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def verify(message: Message, trust: Trust, *, at: datetime) -> Signature:
    """Whether the author signed all of it; `at` is when it arrived."""
    if not _claims_to_be_signed(message):
        return Signature(SignatureState.NONE)
    content: bytes | None = None
    try:
        signed, covered = _signed_part(message)
        content = signed.content
        author = _author(message)
        signers = [
            vouched_for(one, signed.certificates, address=author, trust=trust, at=at)
            for one in check_signers(signed, covered)
        ]
        if len({one.fingerprint for one in signers}) > 1:
            raise Rejected(Fault.SIGNERS_DIFFER)
    except Rejected as error:
        return Signature(SignatureState.NOT_VALID, fault=error.fault, content=content)
    return Signature(SignatureState.VALID, signer=signers[0], content=content)


def _claims_to_be_signed(message: Message) -> bool:
    for _, part in message.walk():
        if part.media_type in _SIGNATURES:
            return True
        if part.media_type == "multipart/signed" and "pgp" not in part.params.get("protocol", "").lower():
            return True
        if part.media_type in _PACKED and not _is_sealed(message, part):
            return True
    return False


def _is_sealed(message: Message, part: Part) -> bool:
    """Encrypted, or certificates that only look like a signature: nothing to verify before it is opened."""
    kind = part.params.get("smime-type", "").lower()
    return kind == "certs-only" or is_envelope(message.body_bytes(part))


def _signed_part(message: Message) -> tuple[SignedData, bytes]:
    """The signature, and the bytes that it must cover: the whole body. Raises Rejected."""
    root = message.root
    if root.media_type in _PACKED:
        signed = read_signed_data(message.body_bytes(root))
        if signed.content is None:
            raise Rejected(Fault.MALFORMED)
        if (message.defects | parse(signed.content).defects) & _AMBIGUOUS:
            raise Rejected(Fault.STRUCTURE)
        return signed, signed.content
    if root.media_type != "multipart/signed" or len(root.children) < 2:
        raise Rejected(Fault.PARTLY)
    if message.defects & _AMBIGUOUS or len(root.children) > 2:
        raise Rejected(Fault.STRUCTURE)
    first, second = root.children
    protocol = root.params.get("protocol", "").lower()
    if second.media_type not in _SIGNATURES or protocol not in _SIGNATURES or _says_more(message, second):
        raise Rejected(Fault.STRUCTURE)
    signed = read_signed_data(message.body_bytes(second))
    if signed.content is not None:
        raise Rejected(Fault.TWO_CONTENTS)
    return signed, message.raw[first.header.start : first.body.end]


def _says_more(message: Message, last: Part) -> bool:
    """Text behind the last part, which some programs show."""
    behind = message.raw[last.body.end : message.root.body.end].strip()
    line, _, rest = behind.partition(b"\n")
    return not (line.startswith(b"--") and line.rstrip().endswith(b"--")) or bool(rest.strip())


def _author(message: Message) -> str:
    """The one address in From. Raises Rejected where a reader could see another."""
    values = message.header_values("from")
    found = _SOLE_AUTHOR.fullmatch(values[0]) if len(values) == 1 else None
    authors = list(message.authors())
    if found is None or len(authors) != 1 or name_lies(authors[0]):
        raise Rejected(Fault.AUTHOR_UNCLEAR)
    address = (found[1] or found[2]).decode("ascii")
    if authors[0].address.casefold() != address.casefold():
        raise Rejected(Fault.AUTHOR_UNCLEAR)
    senders = [one.address.casefold() for one in each(message.addresses("sender"))]
    if message.header_values("sender") and senders != [address.casefold()]:
        raise Rejected(Fault.NOT_THE_AUTHOR)
    return address


# --- writing ----------------------------------------------------------------------------------------------------------


def sign(
    raw: bytes, certificate: x509.Certificate, key: Key, *, chain: Sequence[x509.Certificate] = (), salt: str
) -> bytes:
    """The message as multipart/signed. `salt` is a word of chance for the boundary.

    Raises NotPossible for a message that would not arrive as it was signed, and for a certificate that is not its
    author's: readers would show it as forged.
    """
    message = parse(raw)
    address = _author_of_ours(message)
    if address not in addresses_in(certificate):
        raise NotPossible("This certificate is not for the address that the message is from.")
    outer, entity = _taken_apart(message)
    if not entity.isascii() or any(len(line) > _LINE_MAX for line in entity.split(b"\r\n")):
        raise NotPossible("The message has to be encoded for seven bits before it can be signed.")
    builder = pkcs7.PKCS7SignatureBuilder().set_data(entity).add_signer(certificate, key, hashes.SHA256())
    for one in chain:
        builder = builder.add_certificate(one)
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    signature = builder.sign(serialization.Encoding.DER, options)
    part = (
        b'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\nContent-Transfer-Encoding: base64\r\n'
        b'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n' + _base64(signature)
    )
    parameters = 'protocol="application/pkcs7-signature"; micalg=sha-256'
    # The line end before a boundary is the boundary's. RFC 2046 §5.1.1.
    return outer + multipart("signed", [entity + b"\r\n", part], salt, parameters=parameters)


def encrypt(
    raw: bytes,
    recipients: Sequence[x509.Certificate],
    *,
    at: datetime,
    chance: Callable[[int], bytes],
    method: Method = Method.GCM,
) -> bytes:
    """The message for these certificates (the sender's own among them). Raises NotPossible for one that cannot be used.

    The subject and the recipients stay in clear (RFC 8551 §1.1).
    """
    if not recipients or not all(may_encrypt_to(one, at) for one in recipients):
        raise NotPossible("Mail cannot be encrypted for one of these certificates.")
    outer, entity = _taken_apart(parse(raw))
    sealed = seal_envelope(entity, recipients, method, chance)
    kind = "authEnveloped-data" if method is Method.GCM else "enveloped-data"
    head = (
        f'Content-Type: application/pkcs7-mime; smime-type={kind};\r\n name="smime.p7m"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        'Content-Disposition: attachment; filename="smime.p7m"\r\n\r\n'
    )
    return outer + head.encode() + _base64(sealed)


def is_encrypted(message: Message) -> bool:
    """The whole message is one sealed envelope. One that is only part of a message is not opened for reading (M9)."""
    return message.root.media_type in _PACKED and is_envelope(message.body_bytes(message.root))


def open_message(message: Message, certificate: x509.Certificate, key: Key) -> Opened | NotOpened:
    """What was encrypted; with the fields of the message before it, it may be parsed and verified in turn."""
    if not is_encrypted(message):
        return NotOpened.MALFORMED
    opened = open_envelope(message.body_bytes(message.root), certificate, key)
    if isinstance(opened, NotOpened):
        return opened
    outer, _ = _taken_apart(message)
    return Opened(outer + opened.content, opened.authenticated)


def unwrapped(message: Message, content: bytes) -> bytes:
    """What stood inside an opaque signature, with the fields of the message before it: as it is read."""
    outer, _ = _taken_apart(message)
    return outer + content


def _author_of_ours(message: Message) -> str:
    try:
        return _author(message)
    except Rejected:
        raise NotPossible("The message does not say clearly who it is from.") from None


def _taken_apart(message: Message) -> tuple[bytes, bytes]:
    """(the fields of the message, what is signed or encrypted: the Content- fields and the body)."""
    outer, inner = [b"MIME-Version: 1.0\r\n"], list[bytes]()
    for header in message.root.headers:
        field = message.raw[header.span.start : header.span.end]
        if header.name.startswith("content-"):
            inner.append(field)
        elif header.name != "mime-version":
            outer.append(field)
    if not inner:
        inner.append(b"Content-Type: text/plain; charset=us-ascii\r\n")
    body = message.raw[message.root.body.start : message.root.body.end]
    return b"".join(outer), b"".join(inner) + b"\r\n" + body


def _base64(octets: bytes) -> bytes:
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")
