"""Codes to telephones: a port, and the two adapters that are shipped.

Promises
    Nothing but the code's own sentence is sent; numbers and texts are never logged.
    A provider that does not answer within its time is TryLater: the reader is asked to try again, never let in.
"""

import asyncio
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from carepost.base.errors import NotPossible, TryLater

_LATER = "The text message could not be sent just now. Please try again in a few minutes."


class Texts(Protocol):
    async def send(self, number: str, text: str) -> None:
        """Hand it over. Raises TryLater, NotPossible."""
        ...


@dataclass(frozen=True, slots=True)
class NoTexts:
    """No provider is set: level L3 is not offered, and never falls to a weaker one."""

    async def send(self, number: str, text: str) -> None:  # noqa: ARG002 - nobody is there to send it
        raise NotPossible("This service cannot send text messages. Ask the sender to agree on words with you instead.")


@dataclass(frozen=True, slots=True)
class FileTexts:
    """Writes what would be sent to a file, a line each: for demonstrations and tests."""

    path: Path

    async def send(self, number: str, text: str) -> None:
        await asyncio.to_thread(self._write, json.dumps({"to": number, "text": text}) + "\n")

    def _write(self, line: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as out:
            out.write(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTexts:
    """A provider that takes a JSON POST of `to` and `text` with a bearer token, over https."""

    url: str
    token: str
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.url.startswith("https://"):
            raise NotPossible("The address of the text message provider must begin with https://.")

    async def send(self, number: str, text: str) -> None:
        body = json.dumps({"to": number, "text": text}).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")  # noqa: S310 - https only
        try:
            async with asyncio.timeout(self.seconds + 1):
                await asyncio.to_thread(self._send, request)
        except (TimeoutError, urllib.error.URLError, OSError) as error:
            raise TryLater(_LATER, cause=type(error).__name__) from error

    def _send(self, request: urllib.request.Request) -> None:
        opener = urllib.request.build_opener(_NoRedirects())
        with opener.open(request, timeout=self.seconds) as answer:
            answer.read(1)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A code is told to the provider that was set, and to nobody that it points to."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None
