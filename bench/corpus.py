"""Seeded mail of the kind that a practice gets, the same bytes on every machine.

Of every fifty letters thirty are short (2 to 20 kB, text or text with HTML), fifteen carry a document of 100 to 500 kB,
four carry one of 1 to 5 MB, one is an invitation; mean about 384 kB. One document in seven is one that others carry
too. Eight of the twelve sending domains sign with DKIM (RSA, 2048 bits). Letter `n` depends on the seed and `n` alone.
"""

import base64
import io
import quopri
import random
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cached_property
from pathlib import Path

from bench.words import (
    BODY_NEEDLE,
    CLINICS,
    FAMILY,
    GIVEN,
    INSIDE,
    MATTERS,
    OUTSIDE,
    SENDER_NEEDLE,
    SUBJECT_NEEDLE,
    VOCABULARY,
)

SEED = 7531
SELECTOR = "bench"
SIGNING = OUTSIDE[:8]
CLIENT_ADDRESS = "203.0.113.5"  # what XCLIENT says; every sending domain's SPF allows it. RFC 5737.
_START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
_KINDS = ["short"] * 30 + ["document"] * 15 + ["large"] * 4 + ["invitation"]
_SHARED_DOCUMENTS = 30


@dataclass(frozen=True, slots=True)
class Letter:
    number: int
    kind: str
    sender: str
    raw: bytes


class Corpus:
    """`shrink` divides the size of documents: 20 gives a mailbox of about 25 kB a letter."""

    def __init__(self, *, seed: int = SEED, shrink: int = 1) -> None:
        self.seed = seed
        self.shrink = shrink
        chance = random.Random(seed)
        self._sentences = [
            " ".join([*chance.choices(VOCABULARY, k=chance.randint(6, 15)), _rare(chance)]).capitalize() + "."
            for _ in range(4000)
        ]
        self._people = [(chance.choice(GIVEN), chance.choice(FAMILY), chance.choice(OUTSIDE)) for _ in range(400)]
        self._shared: dict[tuple[int, bool], tuple[str, str, bytes]] = {}

    def kind(self, number: int) -> str:
        """Fifty letters in an order of their own, so that every slice has the same mixture."""
        kinds = list(_KINDS)
        random.Random(f"{self.seed} kinds {number // 50}").shuffle(kinds)
        return kinds[number % 50]

    def sender(self, number: int) -> tuple[str, str]:
        """(name, address)."""
        chance = random.Random(f"{self.seed} sender {number}")
        given, family, domain = self._people[int(len(self._people) * chance.random() ** 2)]
        local = f"{given}.{family}".lower()
        if number % 1000 == 13:
            local = f"{SENDER_NEEDLE}.{local}"
        return f"{given} {family}", f"{local}@{domain}"

    def letter(self, number: int, *, to: str = f"someone@{INSIDE}") -> Letter:
        chance = random.Random(f"{self.seed} letter {number} {self.shrink}")
        kind, (name, address) = self.kind(number), self.sender(number)
        boundary = f"next-{chance.getrandbits(72):018x}"
        text = self._text(chance, kind, name, number)
        head = self._head(chance, number, name=name, address=address, to=to)
        if kind == "short" and chance.random() < 0.3:
            body = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}".encode()
        elif kind == "invitation":
            body = _both(text, boundary, _invitation(chance, number, address, to))
        elif kind == "short":
            body = _both(text, boundary)
        else:
            body = self._with_document(chance, text, boundary, is_large=kind == "large")
        return Letter(number, kind, address, head + body)

    def signed(self, number: int, *, to: str = f"someone@{INSIDE}") -> Letter:
        """The letter with its domain's DKIM signature, if that domain signs."""
        from carepost.base.address import Domain
        from carepost.mailauth.dkim_sign import sign_dkim
        from carepost.mailauth.fields import split_message

        letter = self.letter(number, to=to)
        domain = letter.sender.partition("@")[2]
        if domain not in SIGNING:
            return letter
        headers, body = split_message(letter.raw)
        field = sign_dkim(headers, body, domain=Domain(domain), selector=SELECTOR, key=self.signing_key, now=_START)
        return Letter(number, letter.kind, letter.sender, field + letter.raw)

    @cached_property
    def signing_key(self):  # type: ignore[no-untyped-def]
        from cryptography.hazmat.primitives.asymmetric import rsa

        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    # -- pieces --

    def _head(self, chance: random.Random, number: int, *, name: str, address: str, to: str) -> bytes:
        domain = address.partition("@")[2]
        at = _START + timedelta(seconds=number * 397 + chance.randint(0, 300))
        subject = f"{chance.choice(MATTERS)}, {chance.choice(CLINICS)}, ref {chance.randint(10**6, 10**7)}"
        if number % 1000 == 7:
            subject += f" {SUBJECT_NEEDLE}"
        fields = [
            f"Received: from desk.{domain} (desk.{domain} [{CLIENT_ADDRESS}])",
            f"\tby out.{domain} with ESMTPS id {chance.getrandbits(48):012x};",
            f"\t{format_datetime(at)}",
            f"Date: {format_datetime(at)}",
            f"From: {name} <{address}>",
            f"To: {to}",
            f"Subject: {subject}",
            f"Message-ID: <{number}.{chance.getrandbits(64):016x}@{domain}>",
        ]
        if number % 3 == 0:
            fields.append(f"In-Reply-To: <{number - 1}.{chance.getrandbits(64):016x}@{INSIDE}>")
        fields += ["MIME-Version: 1.0", "X-Mailer: Sample Desk 4.2"]
        return "".join(f"{field}\r\n" for field in fields).encode()

    def _text(self, chance: random.Random, kind: str, name: str, number: int) -> str:
        size = chance.randint(900, 9_000) if kind == "short" else chance.randint(400, 2_500)
        paragraphs, written = ["Dear colleague,"], 0
        while written < size:
            paragraph = " ".join(chance.choices(self._sentences, k=chance.randint(2, 6)))
            paragraph += (
                f" NHS no. {chance.randint(400, 799)} {chance.randint(0, 999):03d} {chance.randint(0, 9999):04d}."
            )
            paragraphs.append(_folded(paragraph))
            written += len(paragraph)
        if number % 1000 == 21:
            paragraphs.append(f"The {BODY_NEEDLE} ganglion was not examined.")
        paragraphs.append(f"With kind regards\r\n{name}\r\nSee https://letters.{INSIDE}/{chance.getrandbits(40):010x}")
        return "\r\n\r\n".join(paragraphs) + "\r\n"

    def _with_document(self, chance: random.Random, text: str, boundary: str, *, is_large: bool) -> bytes:
        name, media_type, data = self._document(chance, is_large=is_large)
        top = f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'.encode()
        if chance.random() < 0.7:
            words = _both(text, f"words-{chance.getrandbits(72):018x}")
        else:
            words = f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}".encode()
        part = (
            f'\r\n--{boundary}\r\nContent-Type: {media_type}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'
        ).encode()
        encoded = base64.encodebytes(data).replace(b"\n", b"\r\n")
        return b"".join((top, words, part, encoded, f"--{boundary}--\r\n".encode()))

    def _document(self, chance: random.Random, *, is_large: bool) -> tuple[str, str, bytes]:
        if chance.random() < 1 / 7:
            which = (chance.randrange(_SHARED_DOCUMENTS), is_large)
            if which not in self._shared:
                self._shared[which] = self._new_document(
                    random.Random(f"{self.seed} shared {which}"), is_large=is_large
                )
            return self._shared[which]
        return self._new_document(chance, is_large=is_large)

    def _new_document(self, chance: random.Random, *, is_large: bool) -> tuple[str, str, bytes]:
        on_the_wire = chance.triangular(1e6, 5e6, 4.8e6) if is_large else chance.uniform(1e5, 5e5)
        size = int(on_the_wire / self.shrink * 0.73)
        number, sort = chance.randint(1000, 9999), chance.random()
        words = " ".join(chance.choices(self._sentences, k=max(8, min(size // 400, 900))))
        if is_large and sort < 0.4:
            return f"photo-{number}.jpg", "image/jpeg", _jpeg(chance, size)
        if sort < 0.75:
            return f"letter-{number}.pdf", "application/pdf", _pdf(chance, words, size)
        kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
        return f"summary-{number}.docx", kind, _docx(chance, words, size)


def prepared(folder: Path, count: int) -> Iterator[Letter]:
    """`count` signed letters of the standard corpus, from files that are written the first time."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus = Corpus()
    key = folder / "dkim.pem"
    if key.exists():
        corpus.__dict__["signing_key"] = _read_key(key)
    else:
        _write_key(key, corpus.signing_key)
    for number in range(count):
        path = folder / f"{number:05d}.eml"
        if not path.exists():
            path.write_bytes(corpus.signed(number).raw)
        yield Letter(number, corpus.kind(number), corpus.sender(number)[1], path.read_bytes())


def public_key(folder: Path) -> str:
    """What the signing domains publish as p=, base64."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = _read_key(folder / "dkim.pem").public_key()
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode("ascii")


def _read_key(path: Path):  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(path.read_bytes(), None)


def _write_key(path: Path, key) -> None:  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _rare(chance: random.Random) -> str:
    """A word that few letters share: what makes a search index large."""
    return "".join(
        chance.choice("bcdfglmnprstv") + chance.choice(("a", "e", "i", "o", "an", "er", "ol"))
        for _ in range(chance.randint(2, 4))
    )


def _folded(paragraph: str) -> str:
    lines, line = [], ""
    for word in paragraph.split():
        if len(line) + len(word) > 74:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\r\n".join([*lines, line])


def _both(text: str, boundary: str, calendar: str = "") -> bytes:
    """text/plain and text/html beside each other, and a calendar part where one is given."""
    paragraphs = "".join(f"<p>{paragraph}</p>\n" for paragraph in text.replace("\r\n", "\n").split("\n\n"))
    page = f"<html><head><style>p {{ font: 12pt sans-serif }}</style></head><body>\n{paragraphs}</body></html>\n"
    quoted = quopri.encodestring(page.encode(), quotetabs=False).replace(b"\n", b"\r\n").decode("ascii")
    parts = [("text/plain; charset=utf-8", "8bit", text), ("text/html; charset=utf-8", "quoted-printable", quoted)]
    if calendar:
        parts.append(("text/calendar; charset=utf-8; method=REQUEST", "8bit", calendar))
    out = [f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n']
    out += [
        f"\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}"
        for kind, encoding, body in parts
    ]
    return ("".join(out) + f"\r\n--{boundary}--\r\n").encode()


def _invitation(chance: random.Random, number: int, organiser: str, to: str) -> str:
    day = f"2026{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
    lines = (
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Sample Desk//4.2//EN", "METHOD:REQUEST", "BEGIN:VEVENT",
        f"UID:{number}-{chance.getrandbits(32):08x}@{INSIDE}", "DTSTAMP:20260101T080000Z",
        f"DTSTART:{day}T{chance.randint(8, 16):02d}0000Z", "DURATION:PT45M",
        f"SUMMARY:{chance.choice(MATTERS)}", f"ORGANIZER:mailto:{organiser}", f"ATTENDEE;RSVP=TRUE:mailto:{to}",
        "END:VEVENT", "END:VCALENDAR",
    )  # fmt: skip
    return "".join(f"{line}\r\n" for line in lines)


_JPEG_HEAD = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x01\x00H\x00H\x00\x00"


def _jpeg(chance: random.Random, size: int) -> bytes:
    return _JPEG_HEAD + chance.randbytes(max(64, size - 32)) + b"\xff\xd9"


def _pdf(chance: random.Random, words: str, size: int) -> bytes:
    page = zlib.compress(("BT /F1 10 Tf 40 780 Td (" + words.replace(". ", ".) Tj T* (") + ") Tj ET").encode())
    picture = _jpeg(chance, max(128, size - len(page) - 600))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</XObject<</P 5 0 R>>>>>>",
        b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(page), page),
        b"<</Type/XObject/Subtype/Image/Width 640/Height 480/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode"
        b"/Length %d>>stream\n%b\nendstream" % (len(picture), picture),
    ]
    out, places = [b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"], []
    for number, content in enumerate(objects, 1):
        places.append(sum(map(len, out)))
        out.append(b"%d 0 obj\n%b\nendobj\n" % (number, content))
    at = sum(map(len, out))
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    out.append(b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(objects) + 1, table))
    out.append(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, at))
    return b"".join(out)


_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/><Default Extension="jpeg" ContentType="image/jpeg"/>'
    '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)


def _docx(chance: random.Random, words: str, size: int) -> bytes:
    paragraphs = "".join(f"<w:p><w:r><w:t>{sentence}</w:t></w:r></w:p>" for sentence in words.split(". "))
    document = (
        '<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        f"<w:body>{paragraphs}</w:body></w:document>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in (
            ("[Content_Types].xml", _TYPES), ("_rels/.rels", _RELATIONS), ("word/document.xml", document)
        ):  # fmt: skip
            archive.writestr(_entry(name, zipfile.ZIP_DEFLATED), content)
        if (left := size - out.tell() - 400) > 64:
            archive.writestr(_entry("word/media/image1.jpeg", zipfile.ZIP_STORED), _jpeg(chance, left))
    return out.getvalue()


def _entry(name: str, compression: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))  # not the clock's: the bytes are to be the same every time
    entry.compress_type = compression
    return entry
