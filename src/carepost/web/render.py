"""Templates to pages.

Promises
    Every value is escaped by Jinja; Markup comes only from our own drawings and from `message.sanitise*`.
    A name that a template misspells is an error, not an empty place (StrictUndefined).
    A static file's address carries the hash of its content, so that it may be cached for ever.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from carepost.web.icons import ICONS, LOGO, icon

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What every page has: whose it is, and what the service last said to them."""

    product: str
    csrf: str
    organisation: str = ""
    person: str = ""  # empty for somebody who is not signed in
    initials: str = ""
    service_desk: str = ""
    said: str = ""
    undo: str = ""
    undo_send: int = 0  # the message that can still be taken back
    keyboard: bool = False
    writes: bool = False
    replying: tuple[tuple[int, str], ...] = ()  # number and name of each of their mailboxes that answers by itself


@dataclass(frozen=True, slots=True)
class Templates:
    environment: Environment

    def page(self, template: str, frame: Frame, /, **given: object) -> str:
        return self.environment.get_template(template).render(frame=frame, **given)


def static_addresses(folder: Path) -> dict[str, str]:
    """Name of each static file -> its address."""
    return {
        str(
            path.relative_to(folder)
        ): f"/static/{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}/{path.relative_to(folder)}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def templates(static: Callable[[str], str]) -> Templates:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        static=static,
        icon=icon,
        logo=LOGO,
        # Bound once: a list of fifty lines asks for them two hundred times.
        tick=ICONS["tick"],
        clip=ICONS["clip"],
        flag=ICONS["flag"],
        answered=ICONS["answered"],
    )
    return Templates(environment)
