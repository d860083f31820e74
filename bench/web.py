"""The inbox page of a large mailbox, as a browser asks for it: signed in with password and code."""

import re
import shutil
from pathlib import Path

import pyotp

from bench import filling
from bench.browser import REQUESTS, Browser, hidden
from bench.results import save
from bench.world import make_world
from carepost.app.areas import Areas
from carepost.audit.model import Actor
from carepost.governance.acceptable_use import first_text

_PASSWORD = "lantern-otter-willow-47"


def run(work: Path, *, messages: int) -> None:
    """Measure and save."""
    shutil.rmtree(work / "web", ignore_errors=True)
    world = make_world(work / "web", mailboxes=1, relay_workers=1, clamd=None, dkim_public="")
    totp = pyotp.random_base32()

    async def furnish(areas: Areas) -> None:
        await filling.fill(areas, world.people[0], messages)
        person, operator = world.people[0], Actor.operator("bench")
        await areas.identity.accounts.set_password(operator, person.organisation, person.person, _PASSWORD)
        await areas.identity.second_factors.preset(areas.db, operator, person.organisation, person.person, totp)
        if await areas.acceptable_use.current() is None:
            await areas.acceptable_use.publish(operator, first_text())
        policy = await areas.acceptable_use.current()
        if policy is not None:
            actor = Actor.for_person(person.person, person.organisation, "Person Sample")
            await areas.acceptable_use.accept(actor, policy.version, client="bench")

    world.within(furnish)
    with world.serving() as pid:
        browser = _SignedIn(world.ports.web, pid)
        inbox = browser.sign_in(world.people[0].address, totp)
        figures = {"the inbox page": browser.timed(inbox)}
        page = browser.get(inbox)[1].decode("utf-8", "replace")
        letters = re.findall(rf'href="({re.escape(inbox.partition("?")[0])}/\d+)[^"]*"', page)
        if letters:
            figures["a letter"] = browser.timed(letters[0])
    save("web", {"messages": messages, "pages": figures, "requests": REQUESTS})


class _SignedIn(Browser):
    """Somebody's browser."""

    def sign_in(self, address: str, totp: str) -> str:
        """The address of the inbox page."""
        _, page = self.get("/sign-in")
        _, page = self.post("/sign-in", {**hidden(page), "address": address, "password": _PASSWORD})
        if self.location:
            _, page = self.get(self.location)
        code = pyotp.TOTP(totp).now()
        status, page = self.post("/sign-in/code", {**hidden(page), "code": code, "computer": "own"})
        if status not in {302, 303}:
            raise RuntimeError(f"signing in answered {status}")
        path = self.location
        for _ in range(5):
            status, _ = self.get(path)
            if status == 200:
                return path
            path = self.location
        raise RuntimeError("signing in did not lead to the inbox")
