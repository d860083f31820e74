"""Two hundred hostile letters in a real browser: nothing runs, nothing is fetched, nothing leaves its frame.

The canary is `window.__xss`; the evil server listens and counts. Both are shown to work by a negative control.
"""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import pytest
from playwright.sync_api import Browser, Page
from tests.cases.html.vectors import CLASSES, EVIL

from carepost.message.sanitise import safe_html
from carepost.web.headers import content_headers

pytestmark = pytest.mark.browser


@dataclass
class LocalServer:
    """Answers every request with `html` and `headers`, and remembers it. On this machine, as are the letters: a browser
    lets no page from elsewhere ask a local address."""

    html: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""


class _Answers(BaseHTTPRequestHandler):
    told: LocalServer

    def do_GET(self) -> None:
        self.told.asked.append(self.path)
        self.send_response(200)
        for name, value in {"content-type": "text/html; charset=utf-8", **self.told.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.told.html.encode("utf-8", "replace"))

    do_POST = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[LocalServer]:
    told = LocalServer()
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {"told": told}))
    server.daemon_threads, server.block_on_close = True, False  # browsers open connections and say nothing
    told.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield told
    server.shutdown()
    server.server_close()
    thread.join(timeout=60)


@pytest.fixture
def evil() -> Iterator[LocalServer]:
    with serving() as server:
        yield server


@dataclass
class Reader:
    """One page that opens letter after letter, and touches everything that can be touched."""

    page: Page
    letters: LocalServer

    def reads(self, html: str, headers: dict[str, str] | None = None) -> tuple[object, bool]:
        """The canary, and whether the page is still where the letter was."""
        self.letters.html, self.letters.headers = html, headers or {}
        at = self.letters.address + "/c/x"
        self.page.goto(at)
        # Under the policy the page has no scripts, and so no clock: what touches it must not wait inside it.
        self.page.evaluate(TOUCH)
        self.page.wait_for_timeout(25)
        return self.page.evaluate("() => window.__xss"), self.page.url == at


TOUCH = """() => {
  for (const node of document.querySelectorAll("body *"))
    for (const kind of ["mouseover", "pointerenter", "focus"]) node.dispatchEvent(new Event(kind, {bubbles: true}));
}"""


@pytest.fixture
def reader(chromium: Browser) -> Iterator[Reader]:
    context = chromium.new_context()
    context.set_default_timeout(60_000)
    with serving() as letters:
        yield Reader(context.new_page(), letters)
        context.close()


def batches(group: str, size: int) -> list[list[str]]:
    vectors = CLASSES[group]
    return [vectors[at : at + size] for at in range(0, len(vectors), size)]


def test_the_negative_control_shows_that_canary_and_evil_server_work(reader: Reader, evil: LocalServer) -> None:
    reader.reads(f"<img src=x onerror=window.__xss=1><img src={evil.address}/pixel>")
    reader.page.wait_for_function("() => window.__xss === 1")
    reader.page.wait_for_load_state("networkidle")
    assert evil.asked == ["/pixel"]


@pytest.mark.parametrize("group", CLASSES)
def test_sanitised_letters_run_nothing_even_without_the_policy(reader: Reader, evil: LocalServer, group: str) -> None:
    """The sanitiser alone: no content policy, no sandbox, scripts allowed."""
    for several in batches(group, 5):
        safe = [
            safe_html(vector.replace(EVIL, evil.address).replace("//evil.example", evil.address[5:]))
            for vector in several
        ]
        canary, stayed = reader.reads("<!doctype html><body>" + "".join(f"<div>{one.html}</div>" for one in safe))
        assert canary is None, f"one of these ran: {several}"
        assert stayed, f"one of these went away: {several}"
    assert evil.asked == []


@pytest.mark.parametrize("group", CLASSES)
def test_raw_letters_run_nothing_under_the_policy(reader: Reader, evil: LocalServer, group: str) -> None:
    """The policy alone: the hostile letter itself, in one page, as if the sanitiser had let all of it through."""
    headers = dict(content_headers(web_origin="https://mail.example", secure=True))
    del headers["strict-transport-security"]
    for several in batches(group, 5):
        # A page that stands alone may lead away by its own refresh; in the frame that leads the frame only.
        kept = [vector for vector in several if "http-equiv=refresh" not in vector and "formaction" not in vector]
        hostile = "".join(kept).replace(EVIL, evil.address).replace("//evil.example", evil.address[5:])
        canary, _ = reader.reads(f"<!doctype html><body>{hostile}", headers=headers)
        assert canary is None, f"one of these ran: {kept}"
    assert [asked for asked in evil.asked if asked != "/favicon.ico"] == []
