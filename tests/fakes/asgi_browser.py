"""A browser without pictures: asks an ASGI application, keeps its cookies, fills in its forms, runs no script."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import unescape
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

from selectolax.lexbor import LexborHTMLParser


@dataclass(frozen=True)
class Page:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def tree(self) -> LexborHTMLParser:
        return LexborHTMLParser(self.text)

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name.lower()), "")

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    @property
    def location(self) -> str:
        return self.header("location")

    def words(self, selector: str = "body") -> str:
        node = self.tree.css_first(selector)
        return " ".join(node.text(deep=True, separator=" ").split()) if node else ""

    def proof(self) -> str:
        node = self.tree.css_first("input[name=csrf]")
        return (node.attributes.get("value") or "") if node else ""

    def fields(self, selector: str = "form") -> dict[str, str]:
        """The hidden fields of a form."""
        return {
            str(node.attributes.get("name")): unescape(node.attributes.get("value") or "")
            for node in self.tree.css(f"{selector} input[type=hidden]")
        }


@dataclass
class AsgiBrowser:
    app: object
    origin: str
    cookies: dict[str, str] = field(default_factory=dict)
    address: str = "192.0.2.77"

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Page:
        return await self._ask("GET", path, b"", headers or {})

    async def post(
        self, path: str, fields: object, headers: dict[str, str] | None = None, *, origin: str | None = ""
    ) -> Page:
        """`fields`: a dict, or pairs when a field is given often. `origin` "" is the site's own; None sends none."""
        given = {"content-type": "application/x-www-form-urlencoded"}
        if origin is not None:
            given["origin"] = origin or self.origin
        return await self._ask("POST", path, urlencode(fields).encode(), given | (headers or {}))  # type: ignore[arg-type]

    async def post_files(
        self,
        path: str,
        fields: object,
        files: Sequence[tuple[str, str, bytes]] = (),
        headers: dict[str, str] | None = None,
    ) -> Page:
        """As a browser sends a form with files: (name, media type, content) each, in the field `files`."""
        pairs = list(fields.items()) if isinstance(fields, dict) else list(fields)  # type: ignore[call-overload]
        mark = b"----carepost-test"
        body = b"".join(
            b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (mark, n.encode(), v.encode())
            for n, v in pairs
        )
        body += b"".join(
            b'--%b\r\nContent-Disposition: form-data; name="files"; filename="%b"\r\nContent-Type: %b\r\n\r\n%b\r\n'
            % (mark, name.encode(), kind.encode(), content)
            for name, kind, content in files
        )
        given = {"content-type": f"multipart/form-data; boundary={mark.decode()}", "origin": self.origin}
        return await self._ask("POST", path, body + b"--" + mark + b"--\r\n", given | (headers or {}))

    async def stream(self, path: str, octets: bytes, proof: str, offset: int = 0, **headers: str) -> Page:
        """A part of an upload, as the page's script sends it."""
        given = {
            "content-type": "application/offset+octet-stream",
            "upload-offset": str(offset),
            "x-carepost-proof": proof,
            "origin": self.origin,
        }
        return await self._ask("PATCH", path, octets, given | headers)

    async def follow(self, page: Page) -> Page:
        for _ in range(5):
            if page.status not in {302, 303}:
                return page
            page = await self.get(page.location)
        raise AssertionError("it leads on and on")

    async def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Page:
        parts = urlsplit(path)
        headers = {"content-length": str(len(body))} | headers
        sent = [(b"host", urlsplit(self.origin).netloc.encode())]
        sent += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if self.cookies:
            sent.append((b"cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items()).encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": urlsplit(self.origin).scheme,
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": sent,
            "client": (self.address, 50000),
            "server": (urlsplit(self.origin).hostname, 443),
        }
        given = [{"type": "http.request", "body": body, "more_body": False}]
        told: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            if not given:
                await asyncio.Event().wait()  # a browser stays until it has its answer
            return given.pop(0)

        async def send(message: dict[str, object]) -> None:
            told.append(message)

        try:
            await self.app(scope, receive, send)  # type: ignore[operator]
        except Exception:
            # Starlette shows its page and raises the fault again, for the server's log.
            if not told:
                raise
        start = next(message for message in told if message["type"] == "http.response.start")
        answer = [(k.decode().lower(), v.decode()) for k, v in start["headers"]]  # type: ignore[attr-defined]
        page = Page(
            status=int(start["status"]),  # type: ignore[call-overload]
            headers=answer,
            body=b"".join(bytes(m.get("body", b"")) for m in told if m["type"] == "http.response.body"),  # type: ignore[arg-type]
        )
        for line in page.every("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return page
