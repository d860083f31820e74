"""D9: peers that break off, at every point of a conversation: half a message is never a message, and nobody else waits."""

import random
import secrets
import socket
import struct

import pytest
from tests.fakes.running_service import PATIENCE, RunningService, message

pytestmark = pytest.mark.slow

BEA = "bea.off@willow.example"
TRIES = 60


def _talk(service: RunningService, raw: bytes, *, octets: int, reset: bool) -> int:
    """Send so many octets of a whole conversation, lock-step up to DATA, then break off. How many were sent after DATA."""
    with (
        socket.create_connection(("127.0.0.1", service.ports["smtp"]), timeout=PATIENCE) as client,
        client.makefile("rb") as reader,
    ):
        reader.readline()
        for line in ("HELO mail.local.example", "MAIL FROM:<pat@local.example>", f"RCPT TO:<{BEA}>", "DATA"):
            client.sendall(line.encode() + b"\r\n")
            assert reader.readline()[:1] in b"23"
        client.sendall(raw[:octets])
        if reset:
            # RST instead of FIN, as a firewall that lost its state does.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return octets


def test_peers_that_break_off_leave_whole_messages_or_none(service: RunningService) -> None:
    chance = random.Random(9)
    mark = secrets.token_hex(6)
    whole, broken = set(), set()
    for number in range(TRIES):
        name = f"{mark}-{number}"
        text = "x" * chance.choice((10, 5000, 700_000))
        raw = (
            message(f"Broken off {name}", "\r\n".join(text[at : at + 70] for at in range(0, len(text), 70))) + b".\r\n"
        )
        # A third end with the last dot sent and no ear for the answer.
        octets = len(raw) if number % 3 == 0 else chance.randrange(len(raw) - 3)
        _talk(service, raw, octets=octets, reset=bool(number % 2))
        (whole if octets == len(raw) else broken).add(name)
    reference = service.deliver(message("Others go on"), BEA)
    assert reference
    arrived = [raw for raw in service.read("bea.off") if mark.encode() in raw]
    names = [raw.partition(b"Broken off ")[2].partition(b"\r\n")[0].decode() for raw in arrived]
    print(f"{len(broken)} broken off before the last dot, 0 arrived; {len(whole)} after it, {len(names)} arrived")
    assert len(set(names)) == len(names)
    assert not set(names) & broken
    # Whoever closes after the last dot has handed it over: it is there, but for those whom a RST overtook.
    assert {name for name in whole if int(name.rpartition("-")[2]) % 2 == 0} <= set(names)
