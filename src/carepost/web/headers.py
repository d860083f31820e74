"""What every answer says to the browser about itself. OWASP ASVS 5.0 V3.4.

Promises
    The site's pages run our one script and nothing else, are framed by nobody, and frame the content origin only.
    A page of content runs nothing, submits nothing, loads nothing from elsewhere, and is framed by the site only.
    Pages with mail in them are kept by no cache.
"""

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BOTH = {
    "x-content-type-options": "nosniff",
    # Not "no-referrer": under it browsers send `Origin: null` with our own forms, and the Origin check would be blind.
    # Nothing leaves to other origins either way.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(),"
    " fullscreen=(),"
    " geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(),"
    " publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()",
    "x-robots-tag": "noindex, nofollow",
}
_HSTS = "max-age=63072000; includeSubDomains"


def site_headers(*, content_origin: str, secure: bool) -> Mapping[str, str]:
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        f"manifest-src 'self'; frame-src {content_origin}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    return {
        **_BOTH,
        "content-security-policy": policy,
        # Other sites learn nothing. Not "no-referrer": with it browsers send our own forms with `Origin: null` (Fetch
        # §3.2), and a form from nowhere could not be told from one of ours.
        "referrer-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "x-frame-options": "DENY",
        "cache-control": "no-store",
    } | ({"strict-transport-security": _HSTS} if secure else {})


def content_headers(*, web_origin: str, secure: bool) -> Mapping[str, str]:
    policy = (
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src 'self' data:; "
        "style-src 'unsafe-inline'; font-src 'none'; form-action 'none'; base-uri 'none'; "
        f"frame-ancestors {web_origin}"
    )
    return {
        **_BOTH,
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        # The frame is on another origin than the page: same-origin would keep the page from showing it.
        "cross-origin-resource-policy": "cross-origin",
        "cache-control": "no-store, private",
    } | ({"strict-transport-security": _HSTS} if secure else {})


# A file kept by content hash in its name may be kept for ever.
STATIC_HEADERS = {"cache-control": "public, max-age=31536000, immutable", "cross-origin-resource-policy": "same-origin"}


class WithHeaders:
    """Puts a site's headers on every answer of an application; an answer's own value (static files' caching) stays."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in self._headers if pair[0] not in own)]
            await send(message)

        await self._app(scope, receive, with_headers)
