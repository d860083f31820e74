"""The page of a secure message, as its reader's browser asks for it: the link, the code from the mail, then the page."""

import re
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.browser import REQUESTS, Browser, hidden
from bench.letters import clinical
from bench.ports import free_port
from bench.results import save
from bench.words import OUTSIDE
from bench.world import World, make_world
from carepost.app.areas import Areas
from carepost.app.mail_out_joined import sending
from carepost.base.address import EmailAddress
from carepost.base.ids import new_trace_id
from carepost.portal.model import Made, PortalLetter

_READER = EmailAddress.parse(f"reader@{OUTSIDE[0]}")
_PATIENCE_SECONDS = 60


def run(work: Path) -> None:
    """Measure and save."""
    from tests.fakes.outside_world import OutsideWorld

    shutil.rmtree(work / "portal", ignore_errors=True)
    outside = OutsideWorld(Path(tempfile.mkdtemp(dir=work))).start()
    try:
        port = free_port()
        portal = {"listen": [f"127.0.0.1:{port}"], "url": f"http://127.0.0.1:{port}"}
        transport = {"connect_to": f"127.0.0.1:{outside.port}", "tls_reports": False}
        world = make_world(
            work / "portal",
            mailboxes=1,
            relay_workers=1,
            clamd=None,
            dkim_public="",
            further={"portal": portal, "transport": transport},
        )
        with world.serving() as pid:
            made, raw = _made(world)
            reader = Browser(port, pid)
            path = made.link.removeprefix(portal["url"])
            figures = {"the page of the link": reader.timed(path)}
            figures["the message"] = reader.timed(_opened(reader, path, outside))
    finally:
        outside.close()
    save("portal", {"pages": figures, "requests": REQUESTS, "octets": len(raw)})


def _made(world: World) -> tuple[Made, bytes]:
    person = world.people[0]
    raw = clinical(1, sender=person.address, to=str(_READER))
    letter = PortalLetter(
        organisation=person.organisation,
        mailbox=person.mailbox,
        outgoing=None,
        seq=0,
        trace=new_trace_id(),
        address=_READER,
        sender=EmailAddress.parse(person.address),
        sender_name="Person Sample",
        organisation_name="Bench Practice",
        raw=raw,
    )

    async def make(areas: Areas) -> Made:
        secure = sending(areas).portal.secure
        ready = await secure.prepare(letter)
        async with areas.db.transaction(person.organisation) as tx:
            return await secure.make(tx, ready)

    return world.within(make), raw


def _opened(reader: Browser, path: str, outside: object) -> str:
    """The address of the message's page, once the code has come by mail."""
    status, _ = reader.post(path, {})
    if status != 303:
        raise RuntimeError(f"the button of the link answered {status}")
    _, page = reader.get(reader.location)
    action = re.search(rb'<form[^>]*action="([^"]*/code)"', page)
    if action is None:
        raise RuntimeError("no page asks for the code")
    code = _code(outside)
    status, _ = reader.post(action[1].decode(), {**hidden(page), "code": code})
    if status != 303:
        raise RuntimeError(f"the code was answered {status}")
    return reader.location


def _code(outside: object) -> str:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for letter in outside.arrived_for(str(_READER)):  # type: ignore[attr-defined]
            if found := re.search(rb"Your code is (\d{4}) (\d{4})", letter.raw):
                return (found[1] + found[2]).decode()
        time.sleep(0.05)
    raise RuntimeError(f"no code came by {datetime.now(UTC):%H:%M:%S}")
