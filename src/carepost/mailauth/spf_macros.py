"""SPF's macro language: parsed once, expanded for one sender. RFC 7208 §7.

Promises
    Parsing and expanding take time proportional to the text, never more.
    Nothing is looked up here: a text that needs the sender's validated name says so (`needs_validated_name`).
"""

from dataclasses import dataclass
from urllib.parse import quote

_DELIMITERS = frozenset(".-+,/_=")  # RFC 7208 §7.1, `delimiter`
_LETTERS = frozenset("slodiphv")
_LETTERS_OF_EXPLANATIONS = frozenset("crt")  # allowed in "exp" text only, RFC 7208 §7.2
_ESCAPES = {"%": "%", "_": " ", "-": "%20"}
# RFC 3986 §2.3: what an upper-case macro leaves as it is.
_UNRESERVED = "-._~"
NAME_MAX = 253  # RFC 7208 §7.3: longer names lose labels from the left until they fit.


class SpfSyntaxError(ValueError):
    """The record, or one term of it, is not what RFC 7208 §12 allows."""


@dataclass(frozen=True, slots=True)
class Macro:
    """`%{letter digits r delimiters}`."""

    letter: str  # lower case
    escape: bool  # written in upper case: URL-escape the result
    keep: int  # how many right-hand parts; 0 keeps all
    reverse: bool
    delimiters: str


@dataclass(frozen=True, slots=True)
class MacroText:
    parts: tuple[str | Macro, ...]
    ends_with_macro: bool
    literal_tail: str  # the literal characters after the last macro

    @property
    def needs_validated_name(self) -> bool:
        return any(isinstance(part, Macro) and part.letter == "p" for part in self.parts)

    @property
    def needs_local_part(self) -> bool:
        return any(isinstance(part, Macro) and part.letter in "sl" for part in self.parts)

    def expanded(self, values: dict[str, str]) -> str:
        return "".join(part if isinstance(part, str) else _expand(part, values[part.letter]) for part in self.parts)


def parse_macros(text: str, *, explanation: bool = False) -> MacroText:
    """Raise SpfSyntaxError unless `text` is a macro-string (or, for an explanation, an explain-string)."""
    parts: list[str | Macro] = []
    literal: list[str] = []
    at, ends_with_macro = 0, False
    while at < len(text):
        ends_with_macro = text[at] == "%"
        if not ends_with_macro:
            if not ("\x21" <= text[at] <= "\x7e" or (explanation and text[at] == " ")):
                raise SpfSyntaxError("a character that a macro-string may not hold")
            literal.append(text[at])
            at += 1
        elif (escape := text[at + 1 : at + 2]) in _ESCAPES:
            literal.append(_ESCAPES[escape])
            at += 2
        elif escape == "{":
            end = text.find("}", at)
            if end < 0:
                raise SpfSyntaxError("a macro that never ends")
            parts.append("".join(literal))
            parts.append(_parse_macro(text[at + 2 : end], explanation=explanation))
            literal.clear()
            at = end + 1
        else:
            raise SpfSyntaxError("a percent sign that starts nothing")
    tail = "".join(literal)
    return MacroText(parts=(*parts, tail), ends_with_macro=ends_with_macro, literal_tail=tail)


def parse_domain_spec(text: str) -> MacroText:
    """A macro-string that ends in a macro or in a plausible top label. RFC 7208 §7.1, `domain-spec`."""
    macros = parse_macros(text)
    if not macros.ends_with_macro:
        before, dot, label = macros.literal_tail.removesuffix(".").rpartition(".")
        if not dot or not _is_top_label(label) or (not before and len(macros.parts) == 1):
            raise SpfSyntaxError("not the name of a domain")
    return macros


def _is_top_label(label: str) -> bool:
    if not (label.isascii() and label) or label[0] == "-" or label[-1] == "-":
        return False
    return all(c.isalnum() or c == "-" for c in label) and not label.isdigit()


def _parse_macro(body: str, *, explanation: bool) -> Macro:
    letter = body[:1].lower()
    if letter not in _LETTERS and not (explanation and letter in _LETTERS_OF_EXPLANATIONS):
        raise SpfSyntaxError("a macro letter that does not exist here")
    if not letter:
        raise SpfSyntaxError("an empty macro")
    rest = body[1:]
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    rest = rest[len(digits) :]
    reverse = rest[:1] in ("r", "R")
    delimiters = rest[1:] if reverse else rest
    if not set(delimiters) <= _DELIMITERS:
        raise SpfSyntaxError("a macro with an unknown delimiter")
    # RFC 7208 §7.3: the number MUST be nonzero. Three digits are more than any name has labels.
    keep = int(digits[:9]) if digits else 0
    if digits and (keep == 0 or not digits.isascii()):
        raise SpfSyntaxError("a macro that keeps no part")
    return Macro(letter=letter, escape=body[0].isupper(), keep=keep, reverse=reverse, delimiters=delimiters or ".")


def _expand(macro: Macro, value: str) -> str:
    if macro.keep or macro.reverse or macro.delimiters != ".":
        split = value
        for delimiter in macro.delimiters[1:]:
            split = split.replace(delimiter, macro.delimiters[0])
        pieces = split.split(macro.delimiters[0])
        if macro.reverse:
            pieces.reverse()
        value = ".".join(pieces[-macro.keep :] if macro.keep else pieces)
    return quote(value, safe=_UNRESERVED, errors="replace") if macro.escape else value


def fitted(name: str) -> str:
    """The name without its final dot, and without the left-hand labels that make it too long. RFC 7208 §7.3."""
    name = name.removesuffix(".")
    while len(name) > NAME_MAX and "." in name:
        name = name.partition(".")[2]
    return name
