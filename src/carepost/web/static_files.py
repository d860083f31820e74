"""Our own files, the same on every site: stylesheet, fonts, pictures and scripts.

Promises
    A file is found by the address that `static_addresses` gave it and by no other path.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from carepost.web.headers import STATIC_HEADERS
from carepost.web.render import HERE

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
          ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8"}  # fmt: skip


def static_files(
    addresses: Mapping[str, str], *, shows: Callable[[str], bool] = lambda _name: True
) -> Callable[[Request], Awaitable[Response]]:
    """The answer to a request for one of `addresses`, of those files whose name the site `shows`."""
    known = {at.removeprefix("/static/"): name for name, at in addresses.items()}
    # The stylesheet names its fonts relative to itself: those addresses carry the stylesheet's own mark.
    mark = addresses["carepost.css"].split("/")[2]
    known |= {f"{mark}/{name}": name for name in addresses if name.startswith("fonts/")}
    files = {at: HERE / "static" / name for at, name in known.items() if shows(name)}

    async def answer(request: Request) -> Response:
        path = files.get(request.path_params["address"])
        if path is None:
            return Response(status_code=404)
        return FileResponse(path, media_type=_TYPES[Path(path).suffix], headers=dict(STATIC_HEADERS))

    return answer
