#!/usr/bin/env python3
"""Writes docs/reference (settings, policy cards, commands, audit events), from what the program itself says, and the list of
decisions in docs/adr; and the figures in README.md, from docs/performance.md.

    .venv/bin/python tools/make_reference.py            write
    .venv/bin/python tools/make_reference.py --check    say which pages are not what they would be; exit code 1 then

tests/guard/test_documents.py runs the check.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer

from carepost.audit import (  # noqa: F401 - their events are found below
    events_automatic,
    events_correspondents,
    events_delivery,
    events_files,
    events_mail,
    events_outgoing,
    events_portal,
    events_queue,
    events_rules,
    events_smime,
    events_writing,
)
from carepost.audit.events import Event
from carepost.cli.commands import tree
from carepost.gateway.deck import shipped_care, shipped_inbound, shipped_outbound
from carepost.infra.settings import describe
from carepost.policy.english import sentence

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FIGURES_BEGIN, FIGURES_END = "<!-- performance -->", "<!-- /performance -->"
MADE = "<!-- Made by tools/make_reference.py: change the program, not this page. -->"


def settings() -> str:
    return f"""# Settings

{MADE}

Every setting with its default, as `carepost config show --defaults` prints it. A settings file needs only what differs. A name that nobody knows is refused, and so is a value of the wrong kind.
From the environment: `CAREPOST__SECTION__KEY`, with TOML values.

```toml
{describe().rstrip()}
```
"""


DECKS = (
    (
        "Mail that comes in",
        (
            "The first card that applies settles what happens. A card that cannot be judged, because a fact is not known, holds the "
            "message. When none applies, it is delivered."
        ),
        shipped_inbound,
    ),
    (
        "Mail that goes out: by which route",
        (
            "Asked for each recipient; the first card that applies settles it. A card that cannot be judged holds that recipient's "
            "copy. When none applies, it is sent, over TLS when the other side offers it."
        ),
        shipped_outbound,
    ),
    (
        "Mail that goes out: what its sender is asked",
        "Every card that applies asks. What cannot be judged asks for a reason.",
        shipped_care,
    ),
)


def cards() -> str:
    lines = ["# Policy cards", "", MADE, "", "How to change one: [README](../../src/carepost/policies/README.md).", ""]
    for heading, says, deck in DECKS:
        lines += [f"## {heading}", "", says, ""]
        for card in deck().cards:
            lines += [
                f"### {card.order}. {card.title}",
                "",
                f"{sentence(card)}",
                "",
                " ".join(card.because.split()),
                "",
            ]
            owned = f"{card.owner}, to be looked at again by {card.review_by}"
            lines += [f"*{owned}. `{card.name}`, version {card.version}.*", ""]
    return "\n".join(lines)


def commands() -> str:
    lines = ["# Commands", "", MADE, ""]
    lines += [
        "`carepost COMMAND --help` says the same. `--config FILE` or `CAREPOST_CONFIG` names the settings file; without either it is",
        "/etc/carepost/carepost.toml, if that is there.",
        "",
    ]
    for name, command in _commands(typer.main.get_command(tree()), "carepost"):
        lines += [f"## {name}", "", f"{(command.help or '').strip()}", ""]
        listed = [f"- {line}" for line in _parameters(command)]
        lines += [*listed, ""] if listed else []
    return "\n".join(lines).rstrip() + "\n"


def audit_events() -> str:
    lines = [
        "# Audit events",
        "",
        MADE,
        "",
        "What can be recorded, and the details each keeps. None of them has a place for content.",
        "",
        "| event | details |",
        "| --- | --- |",
    ]
    for kind in sorted(_events(Event), key=lambda kind: kind.name.value):
        details = ", ".join(f"`{field.name}`" for field in fields(kind))
        lines.append(f"| `{kind.name.value}` | {details or '—'} |")
    return "\n".join(lines) + "\n"


def decisions() -> str:
    lines = ["# Decisions", "", MADE, ""]
    lines += [
        "What was decided, why, and how we know that it is followed. A decision is overturned by a later one that says so, with a"
    ]
    lines += ["measurement or a reason; the old one stays and points to it.", "", "| | |", "| --- | --- |"]
    for path in sorted((DOCS / "adr").glob("ADR-*.md")):
        title = path.read_text("utf-8").splitlines()[0].lstrip("# ").removeprefix(path.name[:8]).lstrip(": ")
        lines.append(f"| [{path.name[:8]}]({path.name}) | {title} |")
    return "\n".join(lines) + "\n"


def readme() -> str:
    """README.md with the figures of docs/performance.md between its two marks."""
    text = _read(ROOT / "README.md") or ""
    before, _, rest = text.partition(FIGURES_BEGIN)
    _, _, after = rest.partition(FIGURES_END)
    return f"{before}{FIGURES_BEGIN}\n{_figures(_read(DOCS / 'performance.md') or '')}\n{FIGURES_END}{after}"


def _figures(page: str) -> str:
    sections = {part.splitlines()[0]: part for part in page.split("\n## ")[1:]}
    lines = []
    mail_in = _rows(sections.get("Mail in: from accepting to visible", ""))
    if len(mail_in) > 1:
        lines += [
            "| mail in | messages/s | CPU a message | accepted to visible at 5/s, p50 | p99 |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [f"| {row[0]} | {row[1]} | {row[2]} ms | {row[3]} | {row[4]} |" for row in mail_in[1:]]
    rest = [*_rows(sections.get("Pages", ""))[1:], *_rows(sections.get("Memory at rest", ""))[1:]]
    figures = [
        f"{row[0]}: p95 {row[2]}" if "page" in row[0] else f"{row[0]}: {row[1]} MiB"
        for row in rest
        if "letter" not in row[0]
    ]
    lines += ["", *[f"- {figure}" for figure in figures]] if figures else []
    lines += [
        "",
        *[
            line
            for part in sections.values()
            for line in part.splitlines()
            if line.startswith(("- First target", "First target"))
        ],
    ]
    if measured := re.search(r"; (\d+ cores, [^,]+),", page):
        lines += [
            "",
            f"*On {measured[1]}. Each run's commit, and how busy the machine was: [docs/performance.md](docs/performance.md).*",
        ]
    said = "\n".join(lines).strip()
    return said or "The figures of this release have not been measured yet."


def _rows(section: str) -> list[list[str]]:
    """The rows of the first table of a section, the line below its head left out."""
    lines = [line for line in section.splitlines() if line.startswith("|") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _events(kind: type[Event]) -> Iterator[type[Event]]:
    seen = set()
    for child in kind.__subclasses__():
        # A slotted dataclass is made twice; the registry of subclasses knows both.
        if child.__qualname__ not in seen and "__dataclass_fields__" in child.__dict__:
            seen.add(child.__qualname__)
            yield child
            yield from _events(child)


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command with its whole name. (Any: typer brings its own copy of click, whose classes are not public.)"""
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child in sorted(children):
        yield from _commands(children[child], f"{name} {child}")


def _parameters(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.name in {"help", "config"}:
            continue
        says = (getattr(parameter, "help", None) or "").strip()
        if parameter.param_type_name == "option":
            yield f"`{' '.join(parameter.opts)}`: {says}"
        else:
            yield f"`{(parameter.metavar or parameter.name or '').upper()}`: {says}".rstrip(": ")


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/reference/settings.md": settings,
    "docs/reference/cards.md": cards,
    "docs/reference/commands.md": commands,
    "docs/reference/audit-events.md": audit_events,
    "docs/adr/README.md": decisions,
    "README.md": readme,
}


def stale() -> list[str]:
    """The pages that are not what they would be if they were made now."""
    return [name for name, make in PAGES.items() if _read(ROOT / name) != make()]


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


def main() -> int:
    if "--check" in sys.argv[1:]:
        found = stale()
        for name in found:
            sys.stderr.write(f"{name} is out of date: run tools/make_reference.py\n")
        return 1 if found else 0
    for name, make in PAGES.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(make(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
