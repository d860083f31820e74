"""Our MTA-STS policy is served under the names of our own domains, and nothing else changes. RFC 8461 §3.3."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from carepost.base.address import Domain
from carepost.base.errors import TryLater
from carepost.mailauth.mta_sts import Mode, StsPolicy, read_policy
from carepost.web.status.mail_policy import with_mail_policy

POLICY = StsPolicy(Mode.ENFORCE, ("mail.care.example",), 604800)
AT = "/.well-known/mta-sts.txt"


async def _behind(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("the site", status_code=404)(scope, receive, send)


async def _own() -> frozenset[Domain]:
    return frozenset({Domain("care.example")})


async def _away() -> frozenset[Domain]:
    raise TryLater("not now")


async def ask(
    host: str, path: str = AT, *, method: str = "GET", policy: StsPolicy | None = POLICY, own: object = _own
) -> tuple[int, str, dict[str, str]]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {"type": "http", "method": method, "path": path, "headers": [(b"host", host.encode())]}
    await with_mail_policy(_behind, policy, own)(scope, receive, send)  # type: ignore[arg-type]
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:]).decode(), headers


@pytest.mark.parametrize("host", ["mta-sts.care.example", "MTA-STS.Care.Example:443"])
async def test_the_policy_is_served_as_text_that_others_can_read(host: str) -> None:
    status, text, headers = await ask(host)
    assert status == 200
    assert read_policy(text.encode()) == POLICY
    assert headers["content-type"].startswith("text/plain")
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    ("host", "path", "method"),
    [
        ("care.example", AT, "GET"),
        ("mta-sts.elsewhere.example", AT, "GET"),
        ("mta-sts.", AT, "GET"),
        ("mta-sts.b\u00fccher\x00.example", AT, "GET"),
        ("", AT, "GET"),
        ("mta-sts.care.example", "/", "GET"),
        ("mta-sts.care.example", AT, "POST"),
    ],
)
async def test_under_any_other_name_or_path_the_site_answers(host: str, path: str, method: str) -> None:
    assert (await ask(host, path, method=method))[:2] == (404, "the site")


async def test_without_a_policy_the_site_answers() -> None:
    assert (await ask("mta-sts.care.example", policy=None))[0] == 404


async def test_when_the_database_is_away_nobody_is_told_that_there_is_no_policy() -> None:
    assert (await ask("mta-sts.care.example", own=_away))[0] == 503
