"""What somebody may try at the portal, against the real pages and a real database."""

import asyncio
import re
from datetime import timedelta

import pytest
from selectolax.lexbor import LexborHTMLParser
from tests.cases.html.vectors import CLASSES
from tests.fakes.asgi_browser import Page
from tests.fakes.portal_world import PATIENT, PortalWorld

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed
from carepost.base.ids import OutgoingId
from carepost.infra import vault
from carepost.message.sanitise import safe_html
from carepost.portal import links, repo
from carepost.portal.model import Level, Made, PortalPolicy, State, What
from carepost.portal.reading import Browser, Tried

SCANNERS = (
    "Mozilla/5.0 (compatible; Barracuda)",
    "Microsoft Office Existence Discovery",
    "Mimecast-URL-Protect",
    "Proofpoint-URL-Defense",
    "Slackbot-LinkExpanding 1.0",
    "Twitterbot/1.0",
)


async def state_of(world: PortalWorld) -> list[tuple[object, ...]]:
    async with world.db.transaction(world.ours) as tx:
        counts = await tx.tuples(
            "SELECT (SELECT count(*) FROM portal_code), (SELECT count(*) FROM portal_session),"
            "       (SELECT count(*) FROM portal_event), (SELECT count(*) FROM portal_budget)"
        )
        return [*counts, *await tx.tuples("SELECT * FROM secure_message ORDER BY id")]


def looks(page: Page) -> tuple[int, bytes, list[tuple[str, str]]]:
    return page.status, page.body, page.headers


async def started(world: PortalWorld, made: Made) -> Browser:
    return await world.reading.begin(world.path(made).removeprefix("/m/"), "192.0.2.1")


async def test_scanners_that_fetch_the_link_six_hundred_times_change_nothing(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    before = await state_of(world)
    browser = world.browser()
    for scanner in SCANNERS:
        for _ in range(50):
            assert (await browser.get(world.path(made), {"user-agent": scanner})).status == 200
            head = await browser._ask("HEAD", world.path(made), b"", {"user-agent": scanner})
            assert head.status in {200, 405}
    assert await state_of(world) == before
    assert world.queue.sent == []
    assert browser.cookies == {}


async def test_unknown_revoked_expired_and_half_right_links_are_one_answer(world: PortalWorld) -> None:
    revoked, expired = await world.send(world.letter(), outgoing=1), await world.send(world.letter(), outgoing=2)
    live = await world.send(world.letter(), outgoing=3)
    await world.revoke(1)
    unknown = f"/m/{links.link_text(links.new_link())}"
    lookup = world.path(live).removeprefix("/m/").partition(".")[0]
    half = f"/m/{lookup}.{links.link_text(links.new_link()).partition('.')[2]}"
    world.clock.advance(timedelta(days=27))
    async with world.db.transaction(world.ours) as tx:
        until = world.clock.now() + timedelta(days=20)
        await world.secure.extend(tx, world.nurse, world.ours, OutgoingId(3), until=until)
    world.clock.advance(timedelta(days=2))
    paths = [unknown, world.path(revoked), world.path(expired), half, "/m/x", "/m/" + "a" * 500]
    answers = [looks(await world.browser().post(path, {})) for path in paths]
    assert answers[0][0] == 404
    assert all(answer == answers[0] for answer in answers)
    assert b"no longer available" in answers[0][1]
    shown = [looks(await world.browser().get(path)) for path in [*paths, world.path(live)]]
    assert all(page == shown[0] for page in shown)


async def test_a_guessed_name_of_a_message_is_answered_as_one_that_is_not_open(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    name = world.path(made).removeprefix("/m/").partition(".")[0]
    nobody = links.name_of(links.new_link().lookup)
    answers = []
    for one in (name, nobody):
        browser = world.browser()
        answers.append(looks(await browser.get(f"/r/{one}")))
        browser.cookies[f"__Host-read-{one}"] = "guessed"
        answers.append(looks(await browser.get(f"/r/{one}")))
        answers.append(looks(await browser.get(f"/r/{one}/file/2")))
    assert {answer[0] for answer in answers} == {403}
    assert len({answer[1] for answer in answers}) == 1


async def test_of_two_hundred_that_give_the_right_code_at_once_one_gets_in(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    browser = await started(world, made)
    code = await world.code()
    proofs = await asyncio.gather(*(world.reading.give_code(browser, code) for _ in range(200)), return_exceptions=True)
    right = [one for one in proofs if getattr(one, "tried", None) is Tried.RIGHT]
    assert len(right) == 1
    assert {getattr(one, "tried", type(one).__name__) for one in proofs} <= {Tried.RIGHT, Tried.OVER, "AskAgain"}


async def test_two_hundred_wrong_codes_at_once_are_five_tries(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    browser = await started(world, made)
    proofs = await asyncio.gather(*(world.reading.give_code(browser, "00000000") for _ in range(200)))
    assert sum(one.tried is Tried.WRONG for one in proofs) == 5
    assert (await world.reading.give_code(browser, await world.code())).tried is Tried.OVER


async def test_ten_wrong_codes_in_a_day_freeze_the_message_and_its_sender_is_told(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    tried = []
    for _ in range(2):
        browser = await started(world, made)
        tried += [(await world.reading.give_code(browser, "00000000")).tried for _ in range(5)]
    assert tried == [Tried.WRONG] * 9 + [Tried.FROZEN]
    assert (await world.browser().post(world.path(made), {})).status == 403
    told = [raw for raw in await world.inbox_of(world.mailbox) if b"was shut for a day" in raw]
    assert len(told) == 1
    assert (await world.secure.record(world.ours, OutgoingId(7)))[0].frozen
    world.clock.advance(timedelta(hours=25))
    assert "Your results" in (await world.opened(made, world.browser())).text


async def test_three_codes_an_hour_and_an_old_one_works_no_more(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    first = await started(world, made)
    code = await world.code()
    world.clock.advance(timedelta(minutes=10, seconds=1))
    assert (await world.reading.give_code(first, code)).tried is Tried.OVER
    await world.reading.send_again(first)
    await world.reading.send_again(first)
    page = await world.browser().post(world.path(made), {})
    assert page.status == 503
    assert sum(1 for one in world.queue.sent if one.recipients[0].address == PATIENT) == 3


async def test_a_code_works_only_in_the_browser_that_asked_for_it(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    mine = await started(world, made)
    code = await world.code()
    theirs = await started(world, made)
    assert (await world.reading.give_code(theirs, code)).tried is Tried.WRONG
    assert (await world.reading.give_code(mine, code)).tried is Tried.RIGHT


async def test_one_network_that_guesses_links_is_stopped_and_others_are_not(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    guesser = world.browser(address="198.51.100.9")
    statuses = [(await guesser.post(f"/m/{links.link_text(links.new_link())}", {})).status for _ in range(102)]
    assert statuses.count(404) == 100
    assert statuses[-1] == 503
    assert (await guesser.post(world.path(made), {})).status == 503
    assert (await world.browser().post(world.path(made), {})).status == 303


async def test_a_hundred_networks_that_try_codes_have_ten_tries_in_a_day_between_them(world: PortalWorld) -> None:
    """What bounds tries is counted by message: a million from ten thousand networks are ten that are looked at."""
    made = await world.send(world.letter())
    browsers = [await started(world, made) for _ in range(3)]
    tried = []
    for number in range(100):
        one = browsers[number % 3]
        typed = Browser(name=one.name, token=one.token, client=f"198.51.100.{number}")
        tried.append((await world.reading.give_code(typed, f"{number:08d}")).tried)
    looked_at = sum(one in {Tried.WRONG, Tried.RIGHT} for one in tried) + 1  # the one that froze it was looked at too
    assert looked_at == world.reading.policy.failures_per_day
    assert looked_at / 10**world.reading.policy.code_digits <= 1e-7


async def test_a_revoked_message_is_gone_at_the_next_request_and_a_download_breaks_off(world: PortalWorld) -> None:
    raw = world.letter(attachments=[("scan.bin", "application/octet-stream", b"x" * 4_000_000)])
    made = await world.send(raw)
    browser = world.browser()
    page = await world.opened(made, browser)
    href = str(page.tree.css_first("ul.bulleted a").attributes["href"])
    got, told = [], asyncio.Event()

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.body":
            got.append(len(message.get("body", b"")))  # type: ignore[arg-type]
            if len(got) == 2:
                await world.revoke()
                world.clock.advance(timedelta(seconds=1))
                told.set()

    async def receive() -> dict[str, object]:
        await asyncio.sleep(3600)
        return {}

    cookie = "; ".join(f"{k}={v}" for k, v in browser.cookies.items()).encode()
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET",
        "scheme": "https", "path": href, "raw_path": href.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"secure.riverside.example"), (b"cookie", cookie)],
        "client": ("192.0.2.77", 1), "server": ("secure.riverside.example", 443),
    }  # fmt: skip
    with pytest.raises(BaseException):  # noqa: B017 - the server breaks the connection off
        await world.app(scope, receive, send)  # type: ignore[arg-type]
    assert told.is_set()
    assert sum(got) < 4_000_000
    assert (await browser.get(href)).status == 403
    assert (await browser.get(href.partition("/file/")[0])).status == 403
    assert (await world.browser().post(world.path(made), {})).status == 404


async def test_the_cookie_of_one_message_opens_no_other(world: PortalWorld) -> None:
    first, second = await world.send(world.letter("One.")), await world.send(world.letter("Two."), outgoing=8)
    browser = world.browser()
    await world.opened(first, browser)
    (name, token), other = next(iter(browser.cookies.items())), world.path(second).removeprefix("/m/").partition(".")[0]
    assert name.startswith("__Host-read-")
    browser.cookies[f"__Host-read-{other}"] = token
    assert (await browser.get(f"/r/{other}")).status == 403


async def test_an_open_message_shuts_after_fifteen_quiet_minutes_and_after_twelve_hours(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    browser = world.browser()
    await world.opened(made, browser)
    at = "/r/" + world.path(made).removeprefix("/m/").partition(".")[0]
    for _ in range(12 * 6 - 1):
        world.clock.advance(timedelta(minutes=10))
        assert (await browser.get(f"{at}/log")).status == 200
    world.clock.advance(timedelta(minutes=10))
    assert (await browser.get(f"{at}/log")).status == 403
    world.clock.advance(timedelta(minutes=60))
    await world.opened(made, browser)
    world.clock.advance(timedelta(minutes=15))
    assert (await browser.get(at)).status == 403


async def test_whoever_has_the_database_and_the_root_key_cannot_open_it_without_the_phrase(world: PortalWorld) -> None:
    made = await world.send(world.letter("Secret of two."), phrase="seven green bottles hanging")
    browser = world.browser()
    assert "Secret of two." in (await world.opened(made, browser, phrase="seven green bottles hanging")).text
    async with world.db.transaction(world.ours) as tx:
        row = await repo.message(tx, world.ours, made.id)
        assert row is not None
        assert row.object is not None
        assert row.wrapped is not None
        # With every key of ours: what is sealed inside is still wrapped by the phrase.
        with pytest.raises(vault.DoesNotOpen):
            await world.secure.seals.unwrap(tx, world.ours, row.object, row.wrapped, phrase_key=None)
        guess = await world.secure.seals.phrase_key("seven green bottles", row.salt or b"")
        with pytest.raises(vault.DoesNotOpen):
            await world.secure.seals.unwrap(tx, world.ours, row.object, row.wrapped, phrase_key=guess)
        everything = str(await tx.all("SELECT * FROM portal_session")) + str(await tx.all("SELECT * FROM portal_code"))
    token = next(iter(browser.cookies.values()))
    assert token not in everything
    assert "bottles" not in everything


async def test_wrong_phrases_freeze_it_too_and_never_let_anybody_in_with_less(world: PortalWorld) -> None:
    made = await world.send(world.letter(), phrase="seven green bottles hanging")
    browser = await started(world, made)
    proof = await world.reading.give_code(browser, await world.code())
    inside = Browser(name=browser.name, token=proof.token, client="192.0.2.1")
    tried = [(await world.reading.give_phrase(inside, "seven green bottles")).tried for _ in range(10)]
    assert tried == [Tried.WRONG] * 9 + [Tried.FROZEN]
    page = await world.browser().post(world.path(made), {})
    assert page.status == 403
    assert not await world.reading.may_still(inside)


async def test_content_that_was_changed_on_disk_is_not_shown(world: PortalWorld, superuser_dsn: str) -> None:
    import psycopg

    made = await world.send(world.letter())
    browser = world.browser()
    await world.opened(made, browser)
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute(
            "UPDATE object SET sealed = set_byte(sealed, length(sealed) - 1, get_byte(sealed, length(sealed) - 1) # 1)"
            " WHERE id = (SELECT object_id FROM secure_message WHERE id = %s)",
            [made.id],
        )
    page = await browser.get("/r/" + world.path(made).removeprefix("/m/").partition(".")[0])
    assert page.status == 500
    assert "has been changed or damaged" in page.text
    assert "Your results" not in page.text


async def test_forms_from_elsewhere_and_without_our_proof_do_nothing(world: PortalWorld) -> None:
    made = await world.send(world.letter())
    browser = world.browser()
    assert (await browser.post(world.path(made), {}, origin="https://evil.example")).status == 403
    assert (await browser.post(world.path(made), {}, {"sec-fetch-site": "cross-site"})).status == 403
    page = await world.begun(made, browser)
    at = str(page.tree.css_first("form").attributes["action"])
    assert (await browser.post(at, {"code": await world.code()})).status == 403
    assert (await browser.post(at, {"csrf": "x" * 40, "code": await world.code()})).status == 403


@pytest.mark.parametrize("kind", CLASSES)
def test_what_a_stranger_laid_out_is_cleaned_by_what_the_frame_shows(kind: str) -> None:
    for vector in CLASSES[kind]:
        tree = LexborHTMLParser(safe_html(f"<p>Hello</p>{vector}").html)
        assert tree.css("script, iframe, object, embed, form, svg, math, base, meta[http-equiv]") == [], vector


async def test_the_frame_has_a_route_and_a_policy_of_its_own(world: PortalWorld) -> None:
    made = await world.send(world.letter("plain", html="<p onclick=x()>Hello</p><script>x()</script>"))
    browser = world.browser()
    page = await world.opened(made, browser)
    at = "/r/" + world.path(made).removeprefix("/m/").partition(".")[0]
    laid = await browser.get(f"{at}?as=html")
    assert laid.tree.css_first("iframe").attributes["sandbox"] == "allow-popups allow-popups-to-escape-sandbox"
    frame = await browser.get(f"{at}/text")
    assert "Hello" in frame.text
    assert "x()" not in frame.text
    policy = frame.header("content-security-policy")
    assert policy.startswith("sandbox allow-popups")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "script-src" not in policy
    assert frame.every("x-frame-options") == ["SAMEORIGIN"]
    assert "frame-ancestors 'none'" in page.header("content-security-policy")
    scripts = [str(one.attributes.get("src")) for one in page.tree.css("script")]
    assert all(re.fullmatch(r"/static/[^/]+/passkeys\.js", src) for src in scripts), "our own, and no other"
    browser.cookies.clear()
    assert (await browser.get(f"{at}/text")).status == 403


async def test_no_row_of_the_portal_holds_an_address_a_name_or_a_network_in_clear(
    world: PortalWorld, superuser_dsn: str
) -> None:
    import psycopg

    made = await world.send(world.letter("A canary sings"), phrase="seven green bottles hanging")
    await world.opened(made, world.browser(), phrase="seven green bottles hanging")
    with psycopg.connect(superuser_dsn) as behind:
        for table in (
            "secure_message",
            "portal_link",
            "portal_session",
            "portal_code",
            "portal_event",
            "portal_budget",
        ):
            rows = behind.execute(f"SELECT * FROM {table}").fetchall()
            text = "".join(bytes(v).decode("latin-1") if isinstance(v, bytes) else str(v) for row in rows for v in row)
            for word in ("webmail", "riverside", "Asha", "192.0.2", "canary", "bottles"):
                assert word not in text, (table, word)
    verifier = links.read_link(world.path(made).removeprefix("/m/"))
    assert verifier is not None


async def test_what_happened_is_in_the_audit_log(world: PortalWorld, superuser_dsn: str) -> None:
    import psycopg

    raw = world.letter(attachments=[("a.bin", "application/octet-stream", b"x")])
    made = await world.send(raw)
    browser = world.browser()
    begun = await started(world, made)
    await world.reading.give_code(begun, "1")
    page = await world.opened(made, browser)
    await browser.get(str(page.tree.css_first("ul.bulleted a").attributes["href"]))
    at = str(page.tree.css_first("a.go").attributes["href"])
    await browser.post_files(at, {"csrf": (await browser.get(at)).proof(), "text": "thanks"})
    await world.asking.ask(begun, name="Sam", address="sam@x.example", words="")
    [request] = await world.asking.requests(world.ours, OutgoingId(7))
    await world.asking.settle(world.nurse, world.ours, request.message, request.id, approve=False)
    async with world.db.transaction(world.ours) as tx:
        until = world.clock.now() + timedelta(days=40)
        await world.secure.extend(tx, world.nurse, world.ours, OutgoingId(7), until=until)
    other = await world.send(world.letter(), outgoing=9)
    for _ in range(2):
        guess = await started(world, other)
        for _ in range(5):
            await world.reading.give_code(guess, "1")
    await world.revoke()
    with psycopg.connect(superuser_dsn) as behind:
        events = {row[0] for row in behind.execute("SELECT event FROM audit_event WHERE event LIKE 'portal.%'")}
    assert events == {
        "portal.message.made", "portal.message.opened", "portal.message.read", "portal.file.downloaded",
        "portal.message.answered", "portal.proof.failed", "portal.message.frozen", "portal.message.closed",
        "portal.message.extended", "portal.access.asked", "portal.access.settled",
    }  # fmt: skip


async def test_patient_details_without_agreed_words_are_refused_where_the_policy_asks_for_them(
    world: PortalWorld,
) -> None:
    world.build(PortalPolicy(url=world.portal_url, patient_level=Level.AGREED))
    with pytest.raises(Malformed):
        await world.send(world.letter())
    assert (await world.send(world.letter(), phrase="seven green bottles hanging")).id


async def test_another_organisation_sees_nothing_of_it(world: PortalWorld) -> None:
    await world.send(world.letter())
    theirs = await world.organisation("OTHERS")
    assert await world.secure.record(theirs, OutgoingId(7)) == []
    async with world.db.transaction(theirs) as tx:
        assert await world.secure.revoke(tx, world.nurse, theirs, OutgoingId(7)) == frozenset()
    [record] = await world.secure.record(world.ours, OutgoingId(7))
    assert record.state is State.OPEN
    assert record.first(What.MADE) is not None


def test_links_codes_and_phrases_are_read_as_people_give_them() -> None:
    link = links.new_link()
    assert links.read_link(links.link_text(link)) == link
    assert links.read_link(links.link_text(link).upper()) is None
    assert links.read_link(links.link_text(link) + "a") is None
    assert links.read_code(" 1234 5678 ") == "12345678"
    from carepost.portal.model import Agreed

    assert links.normal_phrase("Seven, GREEN  bottles!", Agreed.PHRASE) == "seven green bottles"
    assert {
        links.normal_phrase(text, Agreed.BIRTH) for text in ("7/3/1958", "07 03 1958", "07-3-1958", "07031958")
    } == {"07031958"}
    assert EmailAddress.parse("pat@webmail.example") == PATIENT
