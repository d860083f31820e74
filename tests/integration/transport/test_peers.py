"""The transport against two real doors: our own, and Postfix's sink."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from tests.fakes.ports import free_ports
from tests.fakes.sending_world import RAW, good_tls, sending
from tests.fakes.signed_zones import PATH
from tests.fakes.smtp_world import world

from carepost.base.address import Domain
from carepost.delivery.model import LeastTls, Outcome, VerifiedBy
from carepost.mailauth.resolver import FakeResolver

CARE = Domain("care.example")
LARGE = RAW + b"".join(b"." * (n % 80) + b"line %d\r\n" % n for n in range(20_000))
NAMES = FakeResolver(mx={"care.example": [(10, "mx1.trust.example")]}, a={"mx1.trust.example": ["127.0.0.1"]})


@pytest.mark.parametrize("chunking", [True, False], ids=["BDAT", "DATA"])
async def test_our_own_door_takes_what_we_send_octet_for_octet(tmp_path: Path, chunking: bool) -> None:
    async with world(tmp_path, tls=good_tls(tmp_path), exempt=["127.0.0.0/8"]) as here:
        sender = sending(here.address, resolver=NAMES, tmp_path=tmp_path, chunking=chunking)
        result = await sender.send(
            "jo@care.example", "ann@care.example", "nobody@care.example",
            domain=CARE, raw=LARGE, least=LeastTls.VERIFIED,
        )  # fmt: skip
        assert [one.outcome for one in result.results] == [Outcome.DELIVERED, Outcome.DELIVERED, Outcome.FAILED]
        assert result.evidence is not None
        assert result.evidence.verified_by is VerifiedBy.PKIX
        (message,) = here.inbound.messages
        assert message.endswith(LARGE)


@pytest.mark.peer
async def test_postfixs_sink_takes_what_we_send(tmp_path: Path) -> None:
    sink = shutil.which("smtp-sink", path=PATH)
    if sink is None:
        pytest.skip("smtp-sink is not on this machine (apt-get install postfix)")
    [port] = free_ports(1)
    user = [] if os.geteuid() else ["-u", "root"]
    child = await asyncio.create_subprocess_exec(
        sink, *user, "-D", str(tmp_path / "taken."), "-m", "10", f"127.0.0.1:{port}", "10"
    )
    try:
        sender = sending(("127.0.0.1", port), resolver=NAMES, tmp_path=tmp_path)
        async with asyncio.timeout(120):
            while (await sender.send("jo@care.example", domain=CARE, raw=LARGE)).results[0].outcome is Outcome.LATER:
                await asyncio.sleep(0.05)  # it is still starting
    finally:
        child.terminate()
        await child.wait()
    taken = b"".join(path.read_bytes() for path in tmp_path.glob("taken.*"))
    assert LARGE.replace(b"\r\n", b"\n") in taken.replace(b"\r\n", b"\n")
