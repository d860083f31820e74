"""Our MTA-STS policy, where other mail systems look for it: https://mta-sts.<our domain>/.well-known/mta-sts.txt.

Promises
    Answered under the names of our own domains only, as text, with no redirect and no cookie: RFC 8461 §3.3.
    Under every other name and path the site behind answers as if this were not here.
"""

from collections.abc import Awaitable, Callable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from carepost.base.address import Domain
from carepost.base.errors import Malformed, TryLater
from carepost.mailauth.mta_sts import WELL_KNOWN, StsPolicy

_LABEL = "mta-sts."


def with_mail_policy(
    site: ASGIApp, policy: StsPolicy | None, own_domains: Callable[[], Awaitable[frozenset[Domain]]]
) -> ASGIApp:
    """`site`, and before it the policy; None: we publish none."""
    if policy is None:
        return site

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != WELL_KNOWN or scope["method"] not in ("GET", "HEAD"):
            await site(scope, receive, send)
            return
        try:
            ours = _domain_of(dict(scope["headers"]).get(b"host", b"")) in await own_domains()
        except TryLater:
            await PlainTextResponse("Try again later.", status_code=503)(scope, receive, send)
            return
        if not ours:
            await site(scope, receive, send)
            return
        headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        await PlainTextResponse(policy.text, headers=headers)(scope, receive, send)

    return served


def _domain_of(host: bytes) -> Domain | None:
    name = host.decode("latin-1").lower().partition(":")[0]
    try:
        return Domain.parse(name.removeprefix(_LABEL)) if name.startswith(_LABEL) else None
    except Malformed:
        return None
