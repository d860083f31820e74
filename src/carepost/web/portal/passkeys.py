"""The portal's pages of passkeys: use one instead of a code, keep one, see and remove those that are kept.

Promises
    Without JavaScript, or without an authenticator, nothing of this is offered, and nothing is missing.
    What an authenticator is asked is made by a POST with our proof; what it answers comes back in a form of ours.
"""

from datetime import datetime

from starlette.responses import Response

from carepost.portal.passkey_ceremony import ANSWER_MAX, NotRight
from carepost.portal.reading import Browser, Tried
from carepost.web.portal.site import Call, PortalDoor

_NOT_USED = "The passkey did not open the message. You can try again, or use a code instead."


def passkey_doors() -> tuple[PortalDoor, ...]:
    return (
        PortalDoor(path="/r/{name}/passkey", method="GET", enter=_open_page),
        PortalDoor(path="/r/{name}/passkey", method="POST", enter=_prove),
        PortalDoor(path="/r/{name}/passkey/question", method="POST", enter=_ask_to_open),
        PortalDoor(path="/r/{name}/passkeys", method="GET", enter=_kept),
        PortalDoor(path="/r/{name}/passkeys", method="POST", enter=_keep),
        PortalDoor(path="/r/{name}/passkeys/question", method="POST", enter=_ask_to_keep),
        PortalDoor(path="/r/{name}/passkeys/remove", method="POST", enter=_remove),
    )


# --- opening --------------------------------------------------------------------------------------------------------


async def _open_page(call: Call, *, wrong: str = "", status: int = 200) -> Response:
    may_open = await call.site.passkeys.may_open(call.browser)
    if wrong:
        call.form.wrong("use" if may_open else "code", wrong)
    elif not may_open:
        return call.go(call.at)
    return call.page("passkey.html", status=status, form=call.form, may_open=may_open)


async def _ask_to_open(call: Call) -> Response:
    return _json(await call.site.passkeys.ask_to_open(call.browser))


async def _prove(call: Call) -> Response:
    proof = await call.site.passkeys.prove(call.browser, call.form.words("answer", ANSWER_MAX))
    if proof.tried is Tried.RIGHT:
        return call.go(call.at, browser=Browser(name=call.name, token=proof.token, client=call.client))
    return await _open_page(call, wrong=_NOT_USED, status=400)


# --- keeping --------------------------------------------------------------------------------------------------------


async def _kept(call: Call, *, wrong: str = "", status: int = 200) -> Response:
    if wrong:
        call.form.wrong("keep", wrong)
    passkeys = await call.site.passkeys.kept(call.browser)
    return call.page(
        "passkeys.html",
        status=status,
        form=call.form,
        passkeys=[
            (one.id, _day(call, one.kept_at), _day(call, one.used_at) if one.used_at else "", one.copied)
            for one in passkeys
        ],
        done=call.request.query_params.get("done", ""),
    )


async def _ask_to_keep(call: Call) -> Response:
    return _json(await call.site.passkeys.ask_to_keep(call.browser))


async def _keep(call: Call) -> Response:
    try:
        await call.site.passkeys.keep(call.browser, call.form.words("answer", ANSWER_MAX))
    except NotRight:
        return await _kept(call, wrong="No passkey was kept: it could not be checked. You can try again.", status=400)
    return call.go(f"{call.at}/passkeys?done=kept")


async def _remove(call: Call) -> Response:
    await call.site.passkeys.remove(call.browser, call.form.number("passkey") or 0)
    return call.go(f"{call.at}/passkeys?done=removed")


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


def _day(call: Call, at: datetime) -> str:
    local = at.astimezone(call.site.zone)
    return f"{local.day} {local:%B %Y}"
