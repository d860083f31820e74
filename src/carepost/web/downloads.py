"""Downloads that can be gone on with: one range of octets at a time.

Promises
    The browser saves it and never shows it: attachment, an opaque type, a sandbox.
    Whoever goes on with another file than the one they began gets all of it (If-Range).
"""

import re
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from carepost.web.content.site import disposition

_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")

Fetch = Callable[[int, int], AsyncIterator[bytes]]


def wanted(header: str | None, size: int) -> tuple[int, int] | None:
    """(from, up to); None when nothing of that is there. What cannot be understood asks for all of it."""
    match = _RANGE.fullmatch(header or "")
    if match is None or not any(match.groups()):
        return 0, size
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
    return (start, stop) if start < stop else None


def download(request: Request, *, called: str, size: int, digest: str, fetch: Fetch) -> Response:
    """The answer to a GET or HEAD. `fetch` gives the octets; it is not asked for a HEAD, nor for what is not there."""
    mark = f'"{digest}"'
    headers = {
        "accept-ranges": "bytes",
        "etag": mark,
        "content-disposition": disposition("attachment", called or "file"),
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "no-store",
    }
    asked = request.headers.get("range")
    if request.headers.get("if-range", mark) != mark:
        asked = None
    place = wanted(asked, size)
    if place is None:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{size}"})
    start, stop = place
    headers["content-length"] = str(stop - start)
    part = (start, stop) != (0, size)
    if part:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    kind, status = "application/octet-stream", 206 if part else 200
    if request.method == "HEAD":
        return Response(status_code=status, media_type=kind, headers=headers)
    return StreamingResponse(fetch(start, stop), status_code=status, media_type=kind, headers=headers)
