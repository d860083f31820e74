"""Programs that we did not write deliver to us."""

import asyncio
import shutil
from pathlib import Path

import pytest
from tests.fakes.smtp_world import server_context, world

from carepost.gateway.model import Via
from carepost.protocols.smtp.limits import SmtpLimits

pytestmark = pytest.mark.peer


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not on this machine (Debian: apt-get install swaks postfix)")
    return found


async def run(*command: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(180):
            out, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise
    assert child.returncode is not None
    return child.returncode, out.decode("utf-8", "replace")


def swaks(port: int, *options: str) -> list[str]:
    addresses = ["--from", "ann@out.example", "--helo", "out.example"]
    return [program("swaks"), "--server", "127.0.0.1", "--port", str(port), *addresses, *options]


async def test_swaks_delivers_with_pipelining(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        status, said = await run(
            *swaks(here.address[1], "--to", "jo@care.example,ann@care.example", "--pipeline", "--body", ".dot")
        )
        assert status == 0, said
        [(_, envelope, raw)] = here.inbound.received
        assert len(envelope.recipients) == 2
        assert b"\r\n.dot\r\n" in raw
        assert f"{envelope.trace} is now with us" in said


async def test_swaks_delivers_over_tls(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path)) as here:
        status, said = await run(*swaks(here.address[1], "--to", "jo@care.example", "--tls"))
        assert status == 0, said
        [(connection, _, _)] = here.inbound.received
        assert connection.tls is not None
        assert connection.tls.version == "TLSv1.3"


async def test_swaks_is_told_that_nobody_signs_in_here(tmp_path: Path) -> None:
    async with world(tmp_path, tls=server_context(tmp_path)) as here:
        status, said = await run(
            *swaks(
                here.address[1],
                "--to",
                "jo@care.example",
                "--tls",
                "--auth",
                "--auth-user",
                "jo",
                "--auth-password",
                "x",
            )
        )
        assert status == 28, said  # "could not authenticate"
        assert here.inbound.received == []


async def test_swaks_can_not_relay(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        status, said = await run(*swaks(here.address[1], "--to", "victim@other.example"))
        assert status == 24, said  # "no recipient accepted"
        assert "550 5.1.1" in said


async def test_swaks_speaks_lmtp_and_xclient(tmp_path: Path) -> None:
    async with world(tmp_path, via=Via.LMTP, trusted=["127.0.0.1/32"]) as here:
        options = ["--protocol", "LMTP", "--xclient-addr", "192.0.2.7", "--xclient-name", "mta.example"]
        status, said = await run(*swaks(here.address[1], "--to", "jo@care.example", *options))
        assert status == 0, said
        [(connection, _, _)] = here.inbound.received
        assert (str(connection.client_ip), connection.client_name) == ("192.0.2.7", "mta.example")


@pytest.mark.parametrize("options", [[], ["-d"], ["-N", "-d"]], ids=["a connection each", "kept", "kept, unique"])
async def test_postfix_smtp_source_delivers_twenty_at_a_time(tmp_path: Path, options: list[str]) -> None:
    async with world(tmp_path, limits=SmtpLimits(connections_per_client=100)) as here:
        common = ["-s", "20", "-m", "300", "-l", "5120", "-f", "ann@out.example", "-t", "jo@care.example"]
        if "-N" in options:
            here.routes.mailboxes.update({f"{number}jo@care.example": number + 10 for number in range(400)})
        status, said = await run(program("smtp-source"), *options, *common, f"127.0.0.1:{here.address[1]}")
        assert status == 0, said
        assert len(here.inbound.received) == 300
        assert len({envelope.trace for _, envelope, _ in here.inbound.received}) == 300


async def test_postfix_smtp_source_delivers_large_messages_through_the_disk(tmp_path: Path) -> None:
    async with world(tmp_path, limits=SmtpLimits(connections_per_client=100)) as here:
        common = ["-s", "5", "-m", "10", "-l", "3000000", "-f", "ann@out.example", "-t", "jo@care.example"]
        status, said = await run(program("smtp-source"), *common, f"127.0.0.1:{here.address[1]}")
        assert status == 0, said
        assert len(here.inbound.messages) == 10
        assert min(map(len, here.inbound.messages)) > 2_900_000
        assert here.spools.in_memory == 0


async def test_postfix_smtp_source_speaks_lmtp(tmp_path: Path) -> None:
    async with world(tmp_path, via=Via.LMTP) as here:
        common = ["-L", "-s", "5", "-m", "50", "-f", "ann@out.example", "-t", "jo@care.example"]
        status, said = await run(program("smtp-source"), *common, f"127.0.0.1:{here.address[1]}")
        assert status == 0, said
        assert len(here.inbound.received) == 50
