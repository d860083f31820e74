"""PURE. Where a signature stands in what somebody writes, and where a template goes; in plain and in laid-out text.

Promises
    A signature is put in once: above what is quoted, or at the end. Changed for another, the new one stands in its
    place; one that the writer has altered is theirs, and is left alone.
"""

import re
from dataclasses import replace
from html import escape

from carepost.directory.wording_model import SEPARATOR
from carepost.web.writing.draft import Writing

# What our own answers begin their quotation with (draft.py), and the lines of it.
_QUOTATION = re.compile(r"^On [^\n]{1,300} wrote:\n(?=>|\Z)", re.MULTILINE)
_TAGS = r"(?:\s|&nbsp;|<[^<>]{0,300}>){0,20}"


def signed(writing: Writing, signature: str) -> Writing:
    """A new message or answer with its signature."""
    if not signature:
        return writing
    before, after = _parted(writing.text)
    return replace(writing, text=_joined(before, _block(signature), after), signature=signature)


def known_again(writing: Writing, signature: str) -> Writing:
    """A message that was taken back, or that another program began: the signature that stands in it is known as one."""
    if writing.signature or not signature or _standing(signature).search(writing.text) is None:
        return writing
    return replace(writing, signature=signature)


def signed_anew(writing: Writing, signature: str) -> Writing:
    """The same with another signature: that of the mailbox it is sent from now."""
    old = writing.signature
    if old == signature:
        return writing
    if not old:
        return _laid(signed(writing, signature), "", signature)
    found = _standing(old).search(writing.text)
    if found is None:
        return writing
    text = writing.text[: found.start()] + (_block(signature) if signature else "") + writing.text[found.end() :]
    return _laid(replace(writing, text=text, signature=signature), old, signature)


def with_template(writing: Writing, words: str) -> Writing:
    """With a template's words under what was written so far, above signature and quotation."""
    found = _standing(writing.signature).search(writing.text) if writing.signature else None
    at = found.start() if found else len(_parted(writing.text)[0])
    before, after = writing.text[:at], writing.text[at:]
    before = f"{before.rstrip()}\n\n{words}" if before.strip() else words
    text = f"{before}\n\n{after.lstrip()}" if after.strip() else f"{before}\n"
    return replace(writing, text=text, html=_html_with(writing, words) if writing.html else "")


def _block(signature: str) -> str:
    return f"{SEPARATOR}\n{signature}\n"


def _standing(signature: str) -> re.Pattern[str]:
    """The block as it stands in a text; an editor may have touched the spaces at the ends of its lines."""
    lines = [SEPARATOR.strip(), *(line.strip() for line in signature.splitlines() if line.strip())]
    return re.compile(r"^" + r"\s*\n\s*".join(re.escape(line) for line in lines) + r"[ \t]*(?:\n|\Z)", re.MULTILINE)


def _parted(text: str) -> tuple[str, str]:
    """What is written, and what is quoted below it."""
    found = _QUOTATION.search(text)
    return (text[: found.start()], text[found.start() :]) if found else (text, "")


def _joined(before: str, block: str, after: str) -> str:
    before = f"{before.rstrip()}\n\n" if before.strip() else "\n\n"
    return f"{before}{block}" + (f"\n{after.lstrip()}" if after.strip() else "")


# --- laid-out text ----------------------------------------------------------------------------------------------------


def _laid(writing: Writing, old: str, new: str) -> Writing:
    """The layout with the new signature too; without it, where the old one cannot be found in it: the text is right."""
    if not writing.html:
        return writing
    lines = _html_lines([SEPARATOR.strip(), *new.splitlines()]) if new else ""
    if not old:
        return replace(writing, html=writing.html + lines)
    html, times = _pattern(old).subn(lambda _: lines, writing.html, count=1)
    return replace(writing, html=html if times else "")


def _html_with(writing: Writing, words: str) -> str:
    """A template goes above the signature; without one that can be found, to the end."""
    lines = _html_lines(["", *words.splitlines(), ""])
    found = _pattern(writing.signature).search(writing.html) if writing.signature else None
    if found is None:
        return writing.html + lines
    return writing.html[: found.start()] + lines + writing.html[found.start() :]


def _pattern(signature: str) -> re.Pattern[str]:
    """The lines of it one after the other, whatever tags the editor put between them. The cleaner mends what opens."""
    lines = [line for line in (SEPARATOR.strip(), *signature.splitlines()) if line.strip()]
    return re.compile(_TAGS.join(_loose(line) for line in lines))


def _loose(line: str) -> str:
    """Spaces may have become &nbsp;, and quotation marks may or may not be escaped."""
    words = [f"(?:{re.escape(escape(word))}|{re.escape(escape(word, quote=False))})" for word in line.split()]
    return r"(?:\s|&nbsp;|\u00a0)+".join(words)


def _html_lines(lines: list[str]) -> str:
    return "".join(f"<div>{escape(line, quote=False) or '<br>'}</div>" for line in lines)
