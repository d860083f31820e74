"""What kind of file is attached, whatever it is called: programs, macros, pages that act, deceiving names. R133, M5."""

from functools import partial

from carepost.gateway.checks.reports import as_findings, is_file
from carepost.gateway.contents import Contents
from carepost.gateway.examine import aside
from carepost.gateway.files.inspect import Inspector, Report
from carepost.gateway.files.names import BlockPolicy
from carepost.gateway.files.traits import Trait
from carepost.gateway.model import Check, Examination, Finding
from carepost.message.model import Message
from carepost.message.smime import is_envelope

NAME = "attachments"
_PACKED = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
# What is locked is decided by the same cards, whichever lock it is.
_SEALED = Finding(
    code=Trait.LOCKED.value,
    weight=3,
    says="The message is encrypted with S/MIME, so what is in it could not be scanned on its way in.",
    check=NAME,
)


def attachments(policy: BlockPolicy) -> Check:
    async def look(examination: Examination) -> list[Finding]:
        contents = examination.contents
        found = as_findings(await aside(contents.size, partial(_surfaces, contents, policy)), NAME)
        return [_SEALED, *found] if _is_sealed(examination.message) else found

    return Check(NAME, look)


def _is_sealed(message: Message) -> bool:
    """Encrypted with S/MIME, as a whole or in part."""
    packed = (part for _, part in message.walk() if part.media_type in _PACKED)
    return any(is_envelope(message.body_bytes(part)) for part in packed)


def _surfaces(contents: Contents, policy: BlockPolicy) -> list[Report]:
    inspector = Inspector(policy=policy)
    return [report for file in contents.files if is_file(file) for report in inspector.surface(file.data, file.names)]
