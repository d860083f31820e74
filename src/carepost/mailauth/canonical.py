"""The two canonical forms of DKIM, for header fields and for bodies. RFC 6376 §3.4.

Promises
    Time is proportional to the text, whatever it holds; a body in `simple` form is not copied.
    Only CRLF is a line end: a bare CR or LF is a byte like any other.
"""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

Bytes = bytes | memoryview


class Canonical(StrEnum):
    SIMPLE = "simple"
    RELAXED = "relaxed"


def canonical_field(form: Canonical, raw: bytes) -> bytes:
    """One header field, name, value and CRLF. §3.4.1, §3.4.2."""
    if form is Canonical.SIMPLE:
        return raw
    name, _, value = raw.partition(b":")
    value = _one_space(value.replace(b"\r\n", b"")).strip(b" ")
    return name.strip(b" \t\r\n").lower() + b":" + value + b"\r\n"


def canonical_body(form: Canonical, body: Bytes) -> Bytes:
    """The body. §3.4.3: simple, an empty one becomes CRLF. §3.4.4: relaxed, an empty one stays empty."""
    if form is Canonical.RELAXED:
        body = _relaxed_lines(bytes(body).replace(b"\t", b" "))
    end = _end_without_empty_lines(body)
    if end == 0:
        return b"\r\n" if form is Canonical.SIMPLE else b""
    if bytes(body[end : end + 2]) == b"\r\n":
        return memoryview(body)[: end + 2]
    return bytes(body[:end]) + b"\r\n"


def _relaxed_lines(text: bytes) -> bytes:
    """Runs of spaces as one, and none at the end of a line. Only up to the last space is there anything to do: the
    attachment that most large messages end in has none, and is copied as it is."""
    upto = text.rfind(b" ") + 1
    if not upto:
        return text
    prose, rest = _one_space(text[:upto]).replace(b" \r\n", b"\r\n"), memoryview(text)[upto:]
    if not rest or text.startswith(b"\r\n", upto):
        prose = prose.removesuffix(b" ")
    return b"".join((prose, rest))


def _one_space(text: bytes) -> bytes:
    """Each run of spaces and tabs as one space. Runs halve with every pass, so passes are few."""
    text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text


def _end_without_empty_lines(body: Bytes) -> int:
    """Where the body ends once its final CRLFs are gone. Counted from the end in steps that grow."""
    step, end = 64, len(body)
    while True:
        tail = bytes(body[max(0, end - step) : end])
        kept = _without_final_crlfs(tail)
        end -= len(tail) - kept
        if kept or not end:
            return end
        step = min(step * 2, 1 << 20)


def _without_final_crlfs(tail: bytes) -> int:
    """How much of `tail` is left. Each CRLF becomes one byte that no line end is made of, then they are counted."""
    ends = tail[len(tail.rstrip(b"\r\n")) :].replace(b"\r\n", b"\0")
    return len(tail) - 2 * (len(ends) - len(ends.rstrip(b"\0")))


@dataclass(slots=True)
class BodyHashes:
    """The body's digests, each computed once however many signatures ask. Every hash is SHA-256 (RFC 8301 §3.1).

    A long body may take a second: `dkim.hash_ahead` does it where there is time, before anybody verifies.
    """

    body: Bytes
    _texts: dict[Canonical, Bytes] = field(default_factory=dict)
    _digests: dict[tuple[Canonical, int | None], bytes] = field(default_factory=dict)

    def length(self, form: Canonical) -> int:
        return len(self._text(form))

    def digest(self, form: Canonical, length: int | None = None) -> bytes:
        """Of the canonical body, or of its first `length` octets (`l=`, §3.7)."""
        key = (form, length)
        if key not in self._digests:
            text = self._text(form)
            self._digests[key] = hashlib.sha256(text if length is None else memoryview(text)[:length]).digest()
        return self._digests[key]

    def _text(self, form: Canonical) -> Bytes:
        if form not in self._texts:
            self._texts[form] = canonical_body(form, self.body)
        return self._texts[form]
