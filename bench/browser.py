"""A browser for measurements: keeps its cookies and one connection, follows nothing by itself."""

import re
import time
from http.client import HTTPConnection
from urllib.parse import urlencode

from bench.processes import cpu_seconds
from bench.results import percentile

REQUESTS, WARM = 300, 20


class Browser:
    """`server` is the process whose CPU time is counted, with its children."""

    def __init__(self, port: int, server: int) -> None:
        self.server = server
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._origin = f"http://127.0.0.1:{port}"
        self._cookies: dict[str, str] = {}
        self.location = ""  # where the last answer led to

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask("GET", path, None)

    def post(self, path: str, fields: dict[str, str]) -> tuple[int, bytes]:
        return self._ask("POST", path, urlencode(fields).encode())

    def timed(self, path: str) -> dict[str, float]:
        """Ask for a page again and again. Raises RuntimeError when it is not there."""
        took, octets, spent = [], 0, 0.0
        for n in range(WARM + REQUESTS):
            if n == WARM:
                spent = cpu_seconds([self.server])
            began = time.perf_counter()
            status, body = self.get(path)
            if status != 200:
                raise RuntimeError(f"{path} answered {status}")
            if n >= WARM:
                took.append((time.perf_counter() - began) * 1000)
                octets = len(body)
        return {
            "p50_ms": percentile(took, 50),
            "p95_ms": percentile(took, 95),
            "p99_ms": percentile(took, 99),
            "cpu_ms": (cpu_seconds([self.server]) - spent) / REQUESTS * 1000,
            "octets": octets,
        }

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
        self.location = (answer.headers.get("Location") or "").removeprefix(self._origin)
        return answer.status, content


def hidden(page: bytes) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    fields = {}
    for tag in re.findall(rb"<input[^>]*>", page):
        if b'type="hidden"' in tag and (name := re.search(rb'name="([^"]*)"', tag)):
            value = re.search(rb'value="([^"]*)"', tag)
            fields[name[1].decode()] = value[1].decode() if value else ""
    return fields
