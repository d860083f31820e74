"""A browser before the whole house: real PostgreSQL, both sites under uvicorn on free ports, the system's Chromium.

house       the running sites, with people and mail in them; one for each pytest worker
chromium    the browser; tests that want it are skipped, visibly, where it is not installed
page        a page of a fresh browser profile, whose requests and script errors are watched
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from tests.conftest import PostgresForTests
from tests.fakes.writing_world import WritingWorld
from tests.journeys.steps import House, Opens
from tests.journeys.town_mail import fill_town

from carepost.infra.db import Database

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--no-first-run"]


def _listening() -> socket.socket:
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind(("127.0.0.1", 0))
    opened.listen(64)
    return opened


@pytest.fixture(scope="session")
def house(postgres: PostgresForTests) -> Iterator[House]:
    name = postgres.clone()
    loop = asyncio.new_event_loop()
    house = House(loop)
    ready, stop = threading.Event(), asyncio.Event()
    trouble: list[BaseException] = []

    async def live() -> None:
        with closing(_listening()) as pages, closing(_listening()) as content:
            await serve(pages, content)

    async def serve(pages: socket.socket, content: socket.socket) -> None:
        # Two hosts, so that the browser sees two origins and two sets of cookies.
        house.pages = f"http://localhost:{pages.getsockname()[1]}"
        house.content = f"http://127.0.0.1:{content.getsockname()[1]}"
        async with (
            Database.open(postgres.dsn("carepost_app", name), pool_min=1, pool_max=6, role="carepost_app") as db,
            Database.open(postgres.dsn("carepost_relay", name), pool_min=1, pool_max=2, role="carepost_relay") as relay,
        ):
            house.world = WritingWorld(db, relay, pages_origin=house.pages, content_origin=house.content)
            await house.world.founded()
            await fill_town(house.world)
            servers = [_server(house.world.sites.pages), _server(house.world.sites.content)]
            async with asyncio.TaskGroup() as tasks:
                for server, opened in zip(servers, (pages, content), strict=True):
                    tasks.create_task(server.serve(sockets=[opened]))
                while not all(server.started for server in servers):
                    await asyncio.sleep(0.02)
                ready.set()
                await stop.wait()
                for server in servers:
                    server.should_exit = True

    def run() -> None:
        try:
            loop.run_until_complete(live())
        except BaseException as error:  # noqa: BLE001 - told to the test that waits for it
            trouble.append(error)
        finally:
            ready.set()
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=run, name="the sites", daemon=True)
    thread.start()
    ready.wait(timeout=180)
    if trouble:
        raise trouble[0]
    yield house
    loop.call_soon_threadsafe(stop.set)
    thread.join(timeout=30)
    postgres.drop(name)


def _server(app: Any) -> uvicorn.Server:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=2))
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    return server


# For a module, not the session: while Playwright's loop runs in this thread, no asynchronous test can.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=180_000)
        # A busy machine is no fault of the page; its contexts say the same of what they do.
        expect.set_options(timeout=60_000)
        yield browser
        browser.close()


@pytest.fixture
def opens(chromium: Browser, house: House) -> Iterator[Opens]:
    """Open a page: `opens(width=390, script=False, …)`. Script errors and refused requests fail the test at its end."""
    contexts: list[Any] = []
    said: list[str] = []

    def open_page(*, width: int = 1440, height: int = 900, script: bool = True, **more: Any) -> Page:
        context = chromium.new_context(
            viewport=ViewportSize(width=width, height=height),
            java_script_enabled=script,
            locale="en-GB",
            timezone_id="Europe/London",
            base_url=house.pages,
            **more,
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(f"script error: {error}"))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        return page

    yield open_page
    for context in contexts:
        context.close()
    # A refused request for a message's own hostile content is what the policy is for; anything else is our fault.
    # Nor is a connection that a journey breaks off itself.
    assert [line for line in said if "status of 4" not in line and "ERR_CONNECTION_RESET" not in line] == []
