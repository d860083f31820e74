"""What the log of port 25 says, and what it never says."""

import io
from pathlib import Path

import structlog
from tests.fakes.smtp_world import world

from carepost.base.errors import Broken, Malformed
from carepost.infra.log import configure


async def test_no_word_of_a_message_or_its_envelope_is_logged(tmp_path: Path) -> None:
    written = io.StringIO()
    before = structlog.get_config()
    configure(style="json", stream=written, strict=True, libraries=False)
    try:
        async with world(tmp_path) as here:
            for failure in (None, Broken("canary-said", note=b"canary"), Malformed("x"), ValueError("canary-text")):
                here.inbound.fails = failure
                client = await here.greeted("EHLO canary-hello.example")
                await client.mail("canary-sender@out.example", "jo@care.example", "canary-nobody@care.example")
                await client.say("DATA")
                await client.say(b"Subject: canary-subject\r\n\r\ncanary-body\r\n.")
            here.routes.fails = OSError("canary-routes")
            await (await here.greeted()).mail("", "canary-asked@care.example")
    finally:
        structlog.configure(**before)
    lines = written.getvalue().splitlines()
    assert len(lines) >= 5
    assert "message taken" in lines[0]
    said = written.getvalue().replace("canary-said", "")  # public words of an error are for anyone
    assert "canary" not in said
    assert "care.example" not in said
