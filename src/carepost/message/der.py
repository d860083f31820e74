"""ASN.1 as CMS writes it: elements, read within bounds and written in their one right form. PURE. X.690.

Promises
    Reading never goes beyond its bytes, deeper than DEPTH_MAX or to more than ELEMENTS_MAX elements; what is wrong
    raises Malformed. Lengths of indefinite form are read, because programs that sign while they send write them.
    Writing gives DER: definite lengths, sets in order.

Only what S/MIME needs (smime.py): certificates and keys are the business of `cryptography`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from carepost.base.errors import Malformed

DEPTH_MAX = 32
ELEMENTS_MAX = 20_000  # a signature with a long chain has a few hundred

INTEGER, OCTETS, NULL, OID, SEQUENCE, SET = 0x02, 0x04, 0x05, 0x06, 0x30, 0x31
OCTETS_IN_PIECES = 0x24  # BER: an OCTET STRING of OCTET STRINGs. X.690 §8.7.3
_CONSTRUCTED = 0x20


@dataclass(frozen=True, slots=True)
class Element:
    """`raw` is the whole of it as it stands, `body` what is in it; a constructed one has `children`."""

    tag: int
    raw: bytes
    body: bytes
    children: tuple["Element", ...] = ()

    def child(self, at: int, tag: int) -> "Element":
        """Raises Malformed unless the element there has that tag."""
        if at >= len(self.children) or self.children[at].tag != tag:
            raise Malformed("The signature or envelope is not well formed.", at=at, tag=tag)
        return self.children[at]

    @property
    def octets(self) -> bytes:
        """The value of an OCTET STRING, in one piece or several."""
        if self.tag & _CONSTRUCTED:
            return b"".join(child.octets for child in self.children)
        return self.body


def read(data: bytes) -> Element:
    """The one element that `data` is. Raises Malformed; bytes behind it are malformed too."""
    reader = _Reader(data)
    element, end = reader.element(0, len(data), 0)
    if end != len(data):
        raise _broken()
    return element


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = ELEMENTS_MAX

    def element(self, at: int, end: int, depth: int) -> tuple[Element, int]:
        self._left -= 1
        if depth > DEPTH_MAX or self._left < 0 or at + 2 > end:
            raise _broken()
        start, tag = at, self._data[at]
        if tag & 0x1F == 0x1F:  # tags of several octets: CMS has none
            raise _broken()
        length, at = self._length(at + 1, end)
        if length is None:
            if not tag & _CONSTRUCTED:
                raise _broken()
            children, stop = self._until_end(at, end, depth)
            return Element(tag, self._data[start : stop + 2], self._data[at:stop], children), stop + 2
        stop = at + length
        if stop > end:
            raise _broken()
        inside = self._children(at, stop, depth) if tag & _CONSTRUCTED else ()
        return Element(tag, self._data[start:stop], self._data[at:stop], inside), stop

    def _children(self, at: int, end: int, depth: int) -> tuple[Element, ...]:
        found: list[Element] = []
        while at < end:
            element, at = self.element(at, end, depth + 1)
            found.append(element)
        return tuple(found)

    def _until_end(self, at: int, end: int, depth: int) -> tuple[tuple[Element, ...], int]:
        found: list[Element] = []
        while self._data[at : at + 2] != b"\0\0":
            element, at = self.element(at, end, depth + 1)
            found.append(element)
        if at + 2 > end:
            raise _broken()
        return tuple(found), at

    def _length(self, at: int, end: int) -> tuple[int | None, int]:
        first = self._data[at]
        if first < 0x80:
            return first, at + 1
        if first == 0x80:
            return None, at + 1
        count = first & 0x7F
        if count > 4 or at + 1 + count > end:
            raise _broken()
        return int.from_bytes(self._data[at + 1 : at + 1 + count], "big"), at + 1 + count


def _broken() -> Malformed:
    return Malformed("The signature or envelope is not well formed.")


# --- writing ----------------------------------------------------------------------------------------------------------


def write(tag: int, body: bytes | Iterable[bytes]) -> bytes:
    body = body if isinstance(body, bytes) else b"".join(body)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def sequence(*parts: bytes) -> bytes:
    return write(SEQUENCE, parts)


def set_of(parts: Sequence[bytes]) -> bytes:
    return write(SET, sorted(parts))  # X.690 §11.6


def integer(number: int) -> bytes:
    return write(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    body = bytearray()
    for number in (first * 40 + second, *rest):
        piece = [number & 0x7F]
        while number := number >> 7:
            piece.append(0x80 | number & 0x7F)
        body += bytes(reversed(piece))
    return write(OID, bytes(body))


def as_set(element: Element) -> bytes:
    """The element with the tag of a SET: what is signed of the signed attributes. RFC 5652 §5.4."""
    return write(SET, element.body)
