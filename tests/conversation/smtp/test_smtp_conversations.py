"""Runs the scripts beside it: one file for each command, so that a reader sees the protocol and not the plumbing.

A script is conversations, with an empty line between them, each below a `#` that says what it shows:
    given WHAT     `lmtp`, `tls`, `trusted`, `587`, `465`, or `limit NAME VALUE`; the greeting is always read first
    C: TEXT        a line from the client, CR LF added; `C|` without it, with \\r \\n \\t \\0 \\xNN meaning themselves
    S: TEXT        the next line from the server; `...` in it stands for anything, alone for any number of lines
    S!             the server closes
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.smtp_world import Client, server_context, world

from carepost.gateway.model import Via
from carepost.protocols.smtp.limits import SmtpLimits

HERE = Path(__file__).parent


@dataclass
class Script:
    title: str
    given: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def scripts(text: str) -> Iterator[Script]:
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line for line in block.splitlines() if not line.startswith("##")]
        title = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
        if not title:
            continue
        given = [line.removeprefix("given ") for line in lines if line.startswith("given ")]
        yield Script(title, given, [line for line in lines if line[:2] in {"C:", "C|", "S:", "S!"}])


ALL = [(path.stem, script) for path in sorted(HERE.glob("*.txt")) for script in scripts(path.read_text("utf-8"))]


@pytest.mark.parametrize("script", [script for _, script in ALL], ids=[f"{stem}: {one.title}" for stem, one in ALL])
async def test_the_conversation_goes_as_written(script: Script, tmp_path: Path) -> None:
    numbers = dict(one.split()[1:] for one in script.given if one.startswith("limit "))
    limits = SmtpLimits(**{name: float(value) if "." in value else int(value) for name, value in numbers.items()})
    async with world(
        tmp_path,
        limits=limits,
        via=Via.LMTP if "lmtp" in script.given else Via.SMTP,
        tls=server_context(tmp_path) if {"tls", "465", "587"} & set(script.given) else None,
        submission=bool({"465", "587"} & set(script.given)),
        implicit="465" in script.given,
        trusted=["127.0.0.0/8"] if "trusted" in script.given else [],
    ) as here:
        client = await here.connect()
        assert (await client.reply()).startswith("220 ")
        await _talk(client, script.lines)


async def _talk(client: Client, lines: list[str]) -> None:
    skipping = False
    for line in lines:
        kind, said = line[:2], line[2:].strip(" ")
        if kind == "C:":
            client.send(said.encode() + b"\r\n")
        elif kind == "C|":
            client.send(re.sub(rb"\\(r|n|t|0|\\|x[0-9a-f]{2})", _escaped, said.encode()))
        elif kind == "S!":
            assert await client.rest() == ""
        elif said == "...":
            skipping = True
        else:
            wanted = re.compile(".*".join(re.escape(part) for part in said.split("...")))
            heard = await _line(client)
            while skipping and heard is not None and not wanted.fullmatch(heard):
                heard = await _line(client)
            skipping = False
            assert heard is not None, f"the server closed; expected {said!r}"
            assert wanted.fullmatch(heard), f"heard {heard!r}; expected {said!r}"


async def _line(client: Client) -> str | None:
    async with asyncio.timeout(180):
        line = await client.reader.readline()
    return line.decode().removesuffix("\r\n") if line else None


def _escaped(found: re.Match[bytes]) -> bytes:
    named = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
    return named.get(found[1]) or bytes([int(found[1][1:], 16)])


def test_every_command_has_its_script() -> None:
    commands = {"hello", "mail", "rcpt", "data", "bdat", "rset", "vrfy", "starttls", "xclient", "lmtp", "quit", "auth"}
    assert commands <= {stem for stem, _ in ALL}
