"""The inbox page of a large mailbox, as a browser asks for it: signed in with password and code."""

import re
import shutil
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pyotp

from bench import filling
from bench.processes import cpu_seconds
from bench.results import percentile, save
from bench.world import World, make_world
from carepost.app.areas import Areas
from carepost.audit.model import Actor
from carepost.governance.acceptable_use import first_text

_PASSWORD = "lantern-otter-willow-47"
_PAGES, _WARM = 300, 20


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
        browser = _Browser(world, pid)
        inbox = browser.sign_in(world.people[0].address, totp)
        figures = {"the inbox page": _timed(browser, inbox)}
        page = browser.get(inbox)[1].decode("utf-8", "replace")
        letters = re.findall(rf'href="({re.escape(inbox.partition("?")[0])}/\d+)[^"]*"', page)
        if letters:
            figures["a letter"] = _timed(browser, letters[0])
    save("web", {"messages": messages, "pages": figures, "requests": _PAGES})


def _timed(browser: "_Browser", path: str) -> dict[str, float]:
    took, octets, spent = [], 0, 0.0
    for n in range(_WARM + _PAGES):
        if n == _WARM:
            spent = cpu_seconds([browser.server])
        began = time.perf_counter()
        status, body = browser.get(path)
        if status != 200:
            raise RuntimeError(f"{path} answered {status}")
        if n >= _WARM:
            took.append((time.perf_counter() - began) * 1000)
            octets = len(body)
    return {
        "p50_ms": percentile(took, 50),
        "p95_ms": percentile(took, 95),
        "p99_ms": percentile(took, 99),
        "cpu_ms": (cpu_seconds([browser.server]) - spent) / _PAGES * 1000,
        "octets": octets,
    }


class _Browser:
    """Keeps its cookies and one connection."""

    def __init__(self, world: World, server: int) -> None:
        self.server = server
        self._connection = HTTPConnection("127.0.0.1", world.ports.web, timeout=60)
        self._origin = f"http://127.0.0.1:{world.ports.web}"
        self._cookies: dict[str, str] = {}
        self._location = ""

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask("GET", path, None)

    def sign_in(self, address: str, totp: str) -> str:
        """The address of the inbox page."""
        _, page = self.get("/sign-in")
        _, page = self._post("/sign-in", {**_hidden(page), "address": address, "password": _PASSWORD})
        if self._location:
            _, page = self.get(self._location)
        code = pyotp.TOTP(totp).now()
        status, page = self._post("/sign-in/code", {**_hidden(page), "code": code, "computer": "own"})
        if status not in {302, 303}:
            raise RuntimeError(f"signing in answered {status}")
        path = self._location
        for _ in range(5):
            status, _ = self.get(path)
            if status == 200:
                return path
            path = self._location
        raise RuntimeError("signing in did not lead to the inbox")

    def _post(self, path: str, fields: dict[str, str]) -> tuple[int, bytes]:
        return self._ask("POST", path, urlencode(fields).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": self._origin}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        self._location = answer.headers.get("Location") or ""
        return answer.status, content


def _hidden(page: bytes) -> dict[str, str]:
    fields = {}
    for tag in re.findall(rb"<input[^>]*>", page):
        if b'type="hidden"' in tag and (name := re.search(rb'name="([^"]*)"', tag)):
            value = re.search(rb'value="([^"]*)"', tag)
            fields[name[1].decode()] = value[1].decode() if value else ""
    return fields
