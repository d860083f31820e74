"""Mail that is encrypted with S/MIME could not be scanned on its way in: the cards of locked archives decide."""

import os
from pathlib import Path

from tests.fakes.mail_certificates import AT, Authority, rsa_key

from carepost.gateway.scan import ScanSettings, scan_bytes
from carepost.message.smime import encrypt, sign

AUTHORITY = Authority("Health Mail Authority", 81)
KEY = rsa_key(41)
CERTIFICATE = AUTHORITY.vouch("sam@trust.example", KEY)
LETTER = (
    b"From: Sam <sam@trust.example>\r\nTo: ada@riverside.example\r\nSubject: Results\r\nMIME-Version: 1.0\r\n"
    b"Date: Sun, 22 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@trust.example>\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\n\r\nPotassium 5.4 mmol/L\r\n"
)


async def codes(raw: bytes) -> tuple[str, set[str]]:
    result = await scan_bytes(Path("a message"), raw, "in", ScanSettings())
    return result["card"], {finding["code"] for finding in result["findings"]}


async def test_an_encrypted_message_is_judged_as_a_locked_archive_is() -> None:
    sealed = encrypt(LETTER, [CERTIFICATE], at=AT, chance=os.urandom)
    card, found = await codes(sealed)
    assert "locked-archive" in found
    assert card == "locked-archive"
    named = sealed.replace(b"application/pkcs7-mime", b"application/x-pkcs7-mime")
    assert "locked-archive" in (await codes(named))[1]


async def test_a_signed_message_is_not_locked() -> None:
    assert "locked-archive" not in (await codes(sign(LETTER, CERTIFICATE, KEY, salt="s")))[1]
    assert "locked-archive" not in (await codes(LETTER))[1]
