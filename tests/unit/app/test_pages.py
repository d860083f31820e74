import pytest
from starlette.types import Message, Receive, Scope, Send

from carepost.app.pages import canonical, server_config


async def answered(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


async def asked(host: bytes, method: str = "GET") -> tuple[int, dict[bytes, bytes]]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": method,
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"x=1",
        "headers": [(b"host", host)],
    }
    await canonical(answered, "http://localhost:8080")(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"])


async def test_a_visitor_by_another_name_is_sent_to_the_one_that_cookies_are_bound_to() -> None:
    status, headers = await asked(b"127.0.0.1:8080")
    assert (status, headers[b"location"]) == (307, b"http://localhost:8080/a%20b?x=1")


async def test_a_visitor_by_our_own_name_is_served_and_a_form_is_left_to_its_origin_check() -> None:
    assert (await asked(b"localhost:8080"))[0] == 200
    assert (await asked(b"LocalHost:8080"))[0] == 200
    assert (await asked(b"127.0.0.1:8080", "POST"))[0] == 200


@pytest.mark.parametrize(
    ("peer", "said", "counted"),
    [
        ("127.0.0.1", b"198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", b"203.0.113.1, 198.51.100.7", "198.51.100.7"),  # the first is the visitor's own invention
        ("192.0.2.9", b"198.51.100.7", "192.0.2.9"),  # no proxy of ours
    ],
)
async def test_a_visitor_behind_our_proxy_is_counted_by_their_own_address(peer: str, said: bytes, counted: str) -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["client"][0])

    config = server_config(app, ("127.0.0.0/8", "::1/128"))
    config.load()
    scope: Scope = {
        "type": "http",
        "scheme": "http",
        "client": (peer, 1),
        "headers": [(b"x-forwarded-for", said)],
        "path": "/",
    }
    await config.loaded_app(scope, None, None)  # type: ignore[arg-type]
    assert seen == [counted]
