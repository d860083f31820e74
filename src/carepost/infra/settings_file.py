"""Settings from a TOML file and the environment: read strictly, described from the same source.

Promises
    A name that nobody knows is refused, with the nearest one that somebody does; so is a value of the wrong kind.
    An error says where the value came from and what is wanted; of the value it repeats at most a wrong choice from a
    closed list.
    What `describe` prints is what `read` would give for an empty file.

A section is a frozen msgspec Struct whose every field carries a sentence: Annotated[int, says("…")].
"""

import difflib
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from carepost.base.errors import NotPossible

PREFIX = "CAREPOST__"
_WIDTH = 100

Section = TypeVar("Section", bound=msgspec.Struct)


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""


def says(
    sentence: str, *, ge: float | None = None, le: float | None = None, pattern: str | None = None
) -> msgspec.Meta:
    """What a field is for, in a sentence for the operator, and the bounds of its value."""
    if pattern is not None:
        return msgspec.Meta(description=sentence, pattern=pattern)
    return msgspec.Meta(description=sentence, ge=ge, le=le)


def read(kind: type[Section], text: str, environment: Mapping[str, str], *, where: str) -> Section:
    """Raises NotPossible, in words, when the text or the environment breaks the rules."""
    try:
        given: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotPossible(f"{where} is not readable: {error}.") from None
    _refuse_unknown(kind, given, where=where)
    for name, raw in environment.items():
        if name.startswith(PREFIX):
            _override(kind, given, name, raw)
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise NotPossible(f"{where} (or a {PREFIX} variable): {error}.") from None


def describe(kind: type[msgspec.Struct], shown: msgspec.Struct | None = None) -> str:
    """Every setting as TOML, each below its sentence: the defaults, or those of `shown`."""
    shown = shown if shown is not None else kind()
    blocks: list[str] = []
    for section, section_kind in sections(kind).items():
        lines = [f"[{section}]"]
        if section_kind.__doc__:
            lines = [*_wrapped(section_kind.__doc__.split("\n")[0]), *lines]
        values = getattr(shown, section)
        for field, sentence in sentences(section_kind).items():
            lines += ["", *_wrapped(sentence), f"{field} = {_toml(getattr(values, field))}"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def sections(kind: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct]]:
    return {name: hint for name, hint in get_type_hints(kind).items() if _is_section(hint)}


def sentences(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Field by field. A field without a sentence is a mistake that a test finds: here it is empty."""
    return {name: _sentence(hint) for name, hint in get_type_hints(kind, include_extras=True).items()}


def _is_section(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _sentence(hint: object) -> str:
    if get_origin(hint) is Annotated:
        for note in get_args(hint)[1:]:
            if isinstance(note, msgspec.Meta) and note.description:
                return note.description
    return ""


def _refuse_unknown(kind: type[msgspec.Struct], given: Mapping[str, Any], *, where: str, path: str = "") -> None:
    known = get_type_hints(kind)
    for name, value in given.items():
        if name not in known:
            raise NotPossible(f"{where}: there is no setting {path}{name}.{_nearest(name, known)}")
        if _is_section(known[name]) and isinstance(value, Mapping):
            _refuse_unknown(known[name], value, where=where, path=f"{path}{name}.")


def _override(kind: type[msgspec.Struct], given: dict[str, Any], name: str, raw: str) -> None:
    """CAREPOST__SMTP__MESSAGE_MAX_MB=50 is [smtp] message_max_mb = 50."""
    known = sections(kind)
    section, _, field = name.removeprefix(PREFIX).lower().partition("__")
    if section not in known:
        raise NotPossible(f"{name}: there is no section {section}.{_nearest(section, known)}")
    fields = get_type_hints(known[section])
    if field not in fields:
        raise NotPossible(f"{name}: there is no setting {section}.{field}.{_nearest(field, fields)}")
    here = given.setdefault(section, {})
    here[field] = raw if fields[field] is str else _value(name, raw)


def _value(name: str, raw: str) -> Any:
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        raise NotPossible(f'{name}: write the value as in the TOML file, such as 50, true or ["a", "b"].') from None


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]}?" if near else f" There are: {', '.join(known)}."


def _wrapped(sentence: str) -> list[str]:
    lines: list[str] = [""]
    for word in sentence.split():
        if len(lines[-1]) + len(word) + 1 > _WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [f"# {line}" for line in lines]


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return msgspec.json.encode(value).decode()
        case tuple() | list():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case _:
            raise TypeError(f"a setting may not be a {type(value).__name__}")
