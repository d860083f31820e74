"""What arrived in the world outside, as pages and as JSON: the demo's window on the wire.

Promises
    What strangers' mail programs would see is shown as text: nothing in it is ever run or fetched.
    /messages.json is a list, oldest first, of {"envelope": {"from", "to"}, "tls", "raw", "at"}.
"""

import asyncio
import json
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from carepost.ops.demo.outside import Arrived, Letterbox
from carepost.ops.demo.world import MANNERS, OUTSIDE

REQUEST_MAX = 16_384
PATIENCE_SECONDS = 20.0
ON_A_PAGE = 25
SHOWN_MAX = 200_000  # octets of a message on its page; the rest is in the JSON

_HEADERS = (
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n"
    "Connection: close\r\n"
)
_STYLE = """
:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;margin:0 auto;padding:1rem;max-width:60rem;
overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem .4rem 0;vertical-align:top;
border-bottom:1px solid #8888}td{overflow-wrap:anywhere}pre{white-space:pre-wrap;overflow-wrap:anywhere;
border:1px solid #8888;padding:.8rem}a{padding:.3rem 0;display:inline-block}dt{font-weight:600}dd{margin:0 0 .6rem}
@media(max-width:40rem){table,tbody,tr,td,th{display:block}thead{position:absolute;left:-9999px}td{border:0;padding:.1rem 0}
tr{border-bottom:1px solid #8888;padding:.6rem 0}}
"""
_NUMBER = re.compile(r"/message/(\d{1,9})")


@dataclass(frozen=True, slots=True)
class OutsidePages:
    letterbox: Letterbox

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Answer until cancelled."""
        servers = [await asyncio.start_server(self._converse, sock=sock, limit=REQUEST_MAX) for sock in sockets]
        try:
            await asyncio.Event().wait()
        finally:
            for server in servers:
                server.close()

    def answer(self, target: str) -> tuple[str, str, bytes]:
        """Status, type and body for GET `target`."""
        path, _, query = target.partition("?")
        if path == "/messages.json":
            return "200 OK", "application/json", self._json()
        if path == "/":
            return "200 OK", "text/html; charset=utf-8", self._list(query).encode()
        if (named := _NUMBER.fullmatch(path)) is not None:
            for message in self.letterbox.messages:
                if message.number == int(named[1]):
                    return "200 OK", "text/html; charset=utf-8", _message(message).encode()
        gone = "<h1>Not here</h1><p>There is no such page, or the message has made room for newer ones.</p>"
        return "404 Not Found", "text/html; charset=utf-8", _page("Not here", gone + _BACK).encode()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                method, target, *_ = [*(await reader.readline()).decode("latin-1").split(), "", ""]
                while (await reader.readline()).strip():
                    pass  # fields tell us nothing
                if method in ("GET", "HEAD"):
                    status, kind, body = self.answer(target)
                else:
                    status, kind, body = "405 Method Not Allowed", "text/plain", b"There is nothing to change here.\n"
                fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n{_HEADERS}"
                writer.write(f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + (body if method != "HEAD" else b""))
                await writer.drain()
        except (TimeoutError, OSError, ValueError):
            pass  # whoever asks comes again
        finally:
            writer.close()

    def _json(self) -> bytes:
        return json.dumps([_plain(message) for message in self.letterbox.messages]).encode() + b"\n"

    def _list(self, query: str) -> str:
        newest = list(reversed(self.letterbox.messages))
        asked = re.search(r"(?:^|&)page=(\d{1,6})", query)
        pages = max(1, -(-len(newest) // ON_A_PAGE))
        page = min(max(1, int(asked[1]) if asked else 1), pages)
        rows = "".join(_row(message) for message in newest[(page - 1) * ON_A_PAGE : page * ON_A_PAGE])
        shown = (
            "<table><thead><tr><th>When</th><th>From</th><th>To</th><th>TLS</th><th>Message</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
            if rows
            else "<p>Nothing has arrived yet. Send something to somebody at one of the domains below.</p>"
        )
        links = [f'<a href="/?page={page - 1}" rel="prev">Newer</a>'] if page > 1 else []
        links += [f'<a href="/?page={page + 1}" rel="next">Older</a>'] if page < pages else []
        turn = f"<nav aria-label='Pages'><p>Page {page} of {pages}. {' '.join(links)}</p></nav>" if pages > 1 else ""
        body = (
            "<h1>The world outside</h1><p>This is the other end of the demonstration: every mail host that is not ours."
            " Nothing has left this machine. Newest first; the same is at "
            f'<a href="/messages.json">/messages.json</a>.</p>{shown}{turn}{self._attempts()}{_domains()}'
        )
        return _page("The world outside", body)

    def _attempts(self) -> str:
        if not self.letterbox.attempts:
            return ""
        rows = "".join(
            f"<tr><td>{attempt.at:%H:%M:%S}</td><td>{escape(attempt.to)}</td><td>{escape(attempt.says)}</td></tr>"
            for attempt in list(reversed(self.letterbox.attempts))[:ON_A_PAGE]
        )
        return (
            "<h2>What was not taken</h2><table><thead><tr><th>When</th><th>For</th><th>What happened</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )


_BACK = '<p><a href="/">Everything that has arrived</a></p>'


def _row(message: Arrived) -> str:
    return (
        f"<tr><td>{message.at:%H:%M:%S}</td><td>{escape(message.sender) or 'nobody (a report)'}</td>"
        f"<td>{', '.join(map(escape, message.recipients))}</td><td>{_tls(message)}</td>"
        f'<td><a href="/message/{message.number}">{escape(_subject(message.raw)) or "No subject"}</a></td></tr>'
    )


def _message(message: Arrived) -> str:
    text = message.raw[:SHOWN_MAX].decode("utf-8", "replace")
    cut = "" if len(message.raw) <= SHOWN_MAX else f"<p>The first {SHOWN_MAX:,} of {len(message.raw):,} octets.</p>"
    body = (
        f"<h1>{escape(_subject(message.raw)) or 'No subject'}</h1><dl><dt>Arrived</dt><dd>{message.at:%Y-%m-%d %H:%M:%S} UTC</dd>"
        f"<dt>From (envelope)</dt><dd>{escape(message.sender) or 'nobody (a report)'}</dd>"
        f"<dt>To (envelope)</dt><dd>{'<br>'.join(map(escape, message.recipients))}</dd>"
        f"<dt>TLS</dt><dd>{_tls(message)}</dd></dl><h2>Every octet, as it came</h2>{cut}<pre>{escape(text)}</pre>{_BACK}"
    )
    return _page("A message", body)


def _tls(message: Arrived) -> str:
    if message.tls is None:
        return "in clear"
    host = f" with {escape(message.tls.host)}" if message.tls.host else ""
    return f"{escape(message.tls.version)}, {escape(message.tls.cipher)}{host}"


def _domains() -> str:
    rows = "".join(
        f"<tr><td>{domain}</td><td>{'secure' if listed else ''}</td>"
        f"<td>{MANNERS[domain].value if domain in MANNERS else 'takes what comes'}</td></tr>"
        for domain, _, listed in OUTSIDE
    )
    return (
        "<h2>Who lives here</h2><table><thead><tr><th>Domain</th><th>On our register</th><th>What it does</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en-GB"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>"
    )


def _subject(raw: bytes) -> str:
    found = re.search(rb"^Subject:[ \t]*([^\r\n]{0,200})", raw.partition(b"\r\n\r\n")[0], re.IGNORECASE | re.MULTILINE)
    return found[1].decode("utf-8", "replace").strip() if found else ""


def _plain(message: Arrived) -> dict[str, object]:
    tls = message.tls
    return {
        "envelope": {"from": message.sender, "to": list(message.recipients)},
        "tls": None if tls is None else {"version": tls.version, "cipher": tls.cipher, "host": tls.host},
        "raw": message.raw.decode("utf-8", "replace"),
        "at": message.at.isoformat(),
    }
