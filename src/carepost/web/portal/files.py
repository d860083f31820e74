"""Files too large for email, on the portal: fetched by a link on the message's page, in one go or in parts."""

from starlette.responses import Response

from carepost.base.errors import NotPossible
from carepost.gateway.out.files import file_size
from carepost.portal.model import SecureMessage
from carepost.web.downloads import download
from carepost.web.mail.letter import kind_words
from carepost.web.portal.site import Call


async def large_files(call: Call, message: SecureMessage) -> list[dict[str, str]]:
    """For the page of the message."""
    files = call.site.files
    if files is None:
        return []
    return [
        {
            "name": one.called,
            "kind": kind_words(one.media_type, one.called),
            "size": file_size(one.size),
            "href": f"{call.at}/large/{one.name}",
        }
        for one in await files.listed(message)
    ]


async def fetch(call: Call) -> Response:
    files = call.site.files
    if files is None:
        raise NotPossible("This message has no such file.")
    message, file = await files.find(call.browser, call.request.path_params["file"])
    return download(
        call.request,
        called=file.called,
        size=file.size,
        digest=file.digest,
        fetch=lambda start, stop: files.fetch(call.browser, message, file, start, stop),
    )
