"""What journeys are made of: the running house, signing in, a photograph."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Page
from tests.fakes.web_world import PASSWORD, WebPerson
from tests.fakes.writing_world import WritingWorld

SCREENSHOTS = Path(__file__).parents[2] / "docs" / "screenshots"

Result = TypeVar("Result")
Opens = Callable[..., Page]


@dataclass
class House:
    """The running sites; `do` runs something in their loop."""

    loop: asyncio.AbstractEventLoop
    world: WritingWorld = field(init=False)
    pages: str = ""
    content: str = ""

    def do(self, work: Awaitable[Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(_awaited(work), self.loop).result(timeout=120)

    def person(self, name: str) -> WebPerson:
        return self.world.people_by_name[name]


async def _awaited(work: Awaitable[Result]) -> Result:
    return await work


def sign_in(house: House, page: Page, name: str, *, computer: str = "own") -> None:
    """As a person does it: password, code, choice of computer."""
    page.goto("/sign-in")
    page.get_by_label("Email address").fill(house.person(name).address)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()

    async def code() -> str:
        return house.world.code()

    page.get_by_label("Six-digit code").fill(house.do(code()))
    page.get_by_label("A computer that only I use" if computer == "own" else "A shared computer").check()
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/mail/**")


def photograph(page: Page, name: str) -> None:
    """Write docs/screenshots/<name>.png, when CAREPOST_SCREENSHOTS=1 asks for it."""
    if os.environ.get("CAREPOST_SCREENSHOTS") == "1":
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png")
