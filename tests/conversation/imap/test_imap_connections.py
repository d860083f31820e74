"""What needs more than one client, a clock, or a look behind the server."""

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest
import structlog
from tests.conversation.imap.runner import CLINIC, JO, Client, ImapWorld, message, settle

from carepost.base.ids import AppPasswordId, MailboxId, PersonId
from carepost.directory.revoking import Revoked
from carepost.protocols.imap.ports import SignedIn
from carepost.wire.imap_limits import ImapLimits


@pytest.fixture
async def world() -> AsyncIterator[ImapWorld]:
    async for made in _serving(ImapWorld()):
        yield made


async def _serving(made: ImapWorld) -> AsyncIterator[ImapWorld]:
    serving = asyncio.ensure_future(made.server.serve())
    await settle()
    yield made
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def until_closed(client: Client) -> None:
    async with asyncio.timeout(180):
        while not client.transport.closed:
            await asyncio.sleep(0.01)


async def client_of(world: ImapWorld, *, signed_in: bool = True, secure: bool = True) -> Client:
    client = Client(world, secure=secure)
    await settle()
    if signed_in:
        await client.sign_in()
    return client


async def test_a_revoked_person_is_put_out_of_idle(world: ImapWorld) -> None:
    client = await client_of(world)
    await client.ask(b"a1 SELECT INBOX", b"a2 IDLE")
    world.people.revoke(Revoked(person=PersonId(JO)))
    await settle()
    assert client.rest().startswith(b"* BYE ")
    assert client.transport.closed
    assert world.server.count == 0


async def test_a_revoked_app_password_ends_its_own_connections_only(world: ImapWorld) -> None:
    jo = await client_of(world)
    sam = await client_of(world, signed_in=False)
    await sam.ask(b'in LOGIN sam@surgery.example "correct horse"')
    world.people.revoke(Revoked(app_password=AppPasswordId(2)))
    await settle()
    assert sam.transport.closed
    assert not jo.transport.closed
    assert (await jo.ask(b"a1 NOOP"))[-1].startswith(b"a1 OK")


async def test_a_sign_in_that_was_being_checked_when_it_was_revoked_does_not_slip_through(world: ImapWorld) -> None:
    sign_in = world.people.sign_in

    async def slowly(address: str, secret: str, client_address: str) -> SignedIn | None:
        found = await sign_in(address, secret, client_address)
        world.people.revoke(Revoked(person=PersonId(JO)))
        return found

    world.people.sign_in = slowly  # type: ignore[method-assign]
    client = await client_of(world, signed_in=False)
    answer = await client.ask(b'a1 LOGIN jo@surgery.example "correct horse"')
    assert answer[-1].startswith(b"a1 NO [AUTHENTICATIONFAILED] You have been signed out.")


async def test_everybody_hears_goodbye_when_the_server_stops() -> None:
    made = ImapWorld()
    async for world in _serving(made):
        client = await client_of(world)
        await client.ask(b"a1 IDLE")
    await settle()
    assert b"* BYE " in client.rest()
    assert client.transport.closed


async def test_a_shared_mailbox_is_noted_as_opened_once_a_conversation(world: ImapWorld) -> None:
    client = await client_of(world)
    inbox = b"Shared/clinic@surgery.example/INBOX"
    await client.ask(b"a1 SELECT " + inbox, b"a2 EXAMINE " + inbox, b"a3 SELECT Shared/clinic@surgery.example/Sent")
    await client.ask(b"a4 SELECT INBOX")
    assert [mailbox for _, mailbox in world.people.opened_shared] == [CLINIC]
    actor, _ = world.people.opened_shared[0]
    assert (actor.person, actor.address, actor.session) == (JO, "192.0.2.7", "app password 1")
    other = await client_of(world)
    await other.ask(b"a1 SELECT " + inbox)
    assert len(world.people.opened_shared) == 2


async def test_nobody_opens_a_mailbox_that_is_not_theirs(world: ImapWorld) -> None:
    world.people.remove_member(MailboxId(CLINIC), JO)
    client = await client_of(world)
    for command in (
        b"SELECT Shared/clinic@surgery.example/INBOX",
        b"SELECT Shared/sam@surgery.example/INBOX",
        b"STATUS Shared/clinic@surgery.example/INBOX (MESSAGES)",
        b"CREATE Shared/clinic@surgery.example/Mine",
        b"APPEND Shared/clinic@surgery.example/INBOX {1+}\r\nx",
        b"DELETE Shared/clinic@surgery.example/Sent",
        b"SUBSCRIBE Shared/clinic@surgery.example/Sent",
    ):
        answer = await client.ask(b"a1 " + command)
        assert answer[-1].startswith(b"a1 NO "), command
    assert world.people.opened_shared == []


async def test_two_clients_of_one_folder_agree_in_the_end(world: ImapWorld) -> None:
    for _ in range(3):
        world.mail.put(world.folder("INBOX"), message("letter.eml"))
    one, two = await client_of(world), await client_of(world)
    await one.ask(b"a1 SELECT INBOX")
    await two.ask(b"a1 SELECT INBOX")
    await one.ask(b"a2 STORE 2 +FLAGS.SILENT (\\Deleted)", b"a3 EXPUNGE", b"a4 STORE 2 +FLAGS.SILENT (\\Flagged)")
    told = await two.ask(b"a2 NOOP", b"a3 UID FETCH 1:* FLAGS")
    assert b"* 2 EXPUNGE" in told
    assert b"* 2 FETCH (UID 3 FLAGS (\\Flagged))" in told
    assert await one.ask(b"b1 UID FETCH 1:* FLAGS") == [
        b"* 1 FETCH (UID 1 FLAGS ())",
        b"* 2 FETCH (UID 3 FLAGS (\\Flagged))",
        b"b1 OK That is all.",
    ]


async def test_commands_sent_together_are_answered_in_order(world: ImapWorld) -> None:
    client = await client_of(world)
    answer = await client.ask(b"a1 NOOP\r\na2 SELECT INBOX\r\na3 FETCH 1:* FLAGS\r\na4 NOOP")
    assert [line.split()[0] for line in answer if not line.startswith(b"*")] == [b"a1", b"a2", b"a3", b"a4"]


async def test_what_was_injected_behind_starttls_ends_the_conversation(world: ImapWorld) -> None:
    client = await client_of(world, signed_in=False, secure=False)
    answer = await client.ask(b"a1 STARTTLS\r\na2 NOOP")
    assert answer == []
    assert client.transport.closed


async def test_a_few_wrong_passwords_end_the_conversation(world: ImapWorld) -> None:
    client = await client_of(world, signed_in=False)
    answers = [await client.ask(b"a1 LOGIN jo@surgery.example no") for _ in range(4)]
    assert [answer[0][:30] for answer in answers] == [b"a1 NO [AUTHENTICATIONFAILED] T"] * 4
    assert answers[-1][-1].startswith(b"* BYE ")
    assert client.transport.closed


async def test_a_wrong_password_is_answered_later_each_time() -> None:
    async for world in _serving(ImapWorld(ImapLimits(wrong_password_wait_s=0.02))):
        client = await client_of(world, signed_in=False)
        loop = asyncio.get_running_loop()
        waits = []
        for _ in range(3):
            began = loop.time()
            await client.write(b"a1 LOGIN jo@surgery.example no\r\n")
            while not client.rest().endswith(b"page.\r\n"):
                await asyncio.sleep(0.001)
            waits.append(loop.time() - began)
        assert waits[0] >= 0.02
        assert waits[1] >= 0.04
        assert waits[2] >= 0.08


async def test_a_person_has_twenty_connections_at_most(world: ImapWorld) -> None:
    clients = [await client_of(world) for _ in range(20)]
    late = await client_of(world, signed_in=False)
    answer = await late.ask(b'in LOGIN jo@surgery.example "correct horse"')
    assert answer == [b"in NO [LIMIT] You have too many mail connections open. Close a mail program and try again."]
    assert late.transport.closed
    await clients[0].ask(b"a1 LOGOUT")
    await client_of(world)


async def test_strangers_are_limited_in_number() -> None:
    async for world in _serving(ImapWorld(ImapLimits(strangers=3))):
        strangers = [await client_of(world, signed_in=False) for _ in range(3)]
        late = await client_of(world, signed_in=False)
        assert late.rest().startswith(b"* BYE ")
        assert late.transport.closed
        await strangers[0].sign_in()
        assert not (await client_of(world, signed_in=False)).transport.closed


async def test_a_stranger_who_says_nothing_is_shown_out() -> None:
    async for world in _serving(ImapWorld(ImapLimits(sign_in_s=0.05))):
        client = await client_of(world, signed_in=False)
        await until_closed(client)
        assert client.rest().endswith(b"* BYE Nothing was heard for too long. Please connect again.\r\n")


async def test_idle_speaks_now_and_then_and_ends_in_the_end() -> None:
    async for world in _serving(ImapWorld(ImapLimits(idle_still_here_s=0.03, idle_s=0.5))):
        client = await client_of(world)
        await client.ask(b"a1 IDLE")
        await until_closed(client)
        heard = client.rest()
        assert b"* OK Still here.\r\n" in heard
        assert b"* BYE " in heard


async def test_a_literal_that_never_ends_is_given_up() -> None:
    async for world in _serving(ImapWorld(ImapLimits(literal_s=0.05))):
        client = await client_of(world)
        await client.ask(b"a1 APPEND INBOX {100}", b"half")
        await until_closed(client)
        assert client.rest().startswith(b"* BYE ")


async def test_fifty_nonsense_commands_are_enough(world: ImapWorld) -> None:
    client = await client_of(world)
    answer = await client.ask(*[b"a1 NONSENSE"] * 60)
    assert len(answer) == 51
    assert answer[-1].startswith(b"* BYE ")


async def test_a_search_that_takes_too_long_says_so() -> None:
    async for world in _serving(ImapWorld(ImapLimits(search_s=0.05))):
        world.mail.put(world.folder("INBOX"), message("letter.eml"))

        async def slow(*_: object) -> dict[int, object]:
            await asyncio.sleep(10)
            return {}

        world.mail.summaries = slow  # type: ignore[assignment,method-assign]
        client = await client_of(world)
        await client.ask(b"a1 SELECT INBOX")
        await client.write(b"a2 SEARCH SUBJECT x\r\n")
        heard = b""
        async with asyncio.timeout(180):
            while not heard.endswith(b"\r\n"):
                await asyncio.sleep(0.01)
                heard += client.rest()
        assert heard.startswith(b"a2 NO [LIMIT] ")
        assert (await client.ask(b"a3 NOOP"))[-1].startswith(b"a3 OK")


async def test_a_client_that_leaves_ends_its_search(world: ImapWorld) -> None:
    world.mail.put(world.folder("INBOX"), message("letter.eml"))
    ended = asyncio.Event()

    async def slow(*_: object) -> dict[int, object]:
        try:
            await asyncio.sleep(10)
        finally:
            ended.set()
        return {}

    world.mail.summaries = slow  # type: ignore[assignment,method-assign]
    client = await client_of(world)
    await client.ask(b"a1 SELECT INBOX")
    await client.write(b"a2 SEARCH SUBJECT x\r\n")
    client.transport.close()
    await settle()
    assert ended.is_set()
    assert world.server.count == 0


async def test_a_search_reads_no_more_than_it_must(world: ImapWorld) -> None:
    inbox = world.folder("INBOX")
    for number in range(1200):
        world.mail.put(inbox, message("letter.eml"), flags=0 if number % 100 == 0 else 1)
    client = await client_of(world)
    await client.ask(b"a1 SELECT INBOX")
    [found, _] = await client.ask(b'a2 SEARCH UNSEEN SUBJECT letter NOT BODY "nothing like this"')
    assert len(found.split()) == 2 + 12
    assert (world.mail.summaries_read, world.mail.bodies_read) == (12, 12)


async def test_words_in_a_large_folder_come_from_the_index(world: ImapWorld) -> None:
    inbox = world.folder("INBOX")
    for _ in range(510):
        world.mail.put(inbox, message("letter.eml"))
    world.mail.put(inbox, message("parts.eml"))
    client = await client_of(world)
    await client.ask(b"a1 SELECT INBOX")
    assert (await client.ask(b"a2 SEARCH BODY rota"))[0] == b"* SEARCH 511"
    assert world.mail.bodies_read == 0


async def test_a_long_message_fetched_in_pieces_is_read_once(world: ImapWorld) -> None:
    raw = message("letter.eml") + b"x" * 400_000
    world.mail.put(world.folder("INBOX"), raw)
    client = await client_of(world)
    await client.ask(b"a1 SELECT INBOX")
    got = b""
    for start in range(0, len(raw), 100_000):
        client.rest()
        await client.write(b"a2 UID FETCH 1 BODY.PEEK[]<%d.100000>\r\n" % start)
        answer = client.rest()
        head, _, rest = answer.partition(b"}\r\n")
        got += rest[: int(head.rpartition(b"{")[2])]
    assert got == raw
    assert world.mail.bodies_read == 1


async def test_an_envelope_is_never_read_from_the_body(world: ImapWorld) -> None:
    world.mail.put(world.folder("INBOX"), message("parts.eml"))
    client = await client_of(world)
    await client.ask(b"a1 SELECT INBOX", b"a2 FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE)")
    assert world.mail.bodies_read == 0


async def test_a_fault_of_ours_is_answered_and_the_conversation_goes_on(world: ImapWorld) -> None:
    async def broken(*_: object) -> dict[int, object]:
        raise RuntimeError("a defect")

    world.mail.put(world.folder("INBOX"), message("letter.eml"))
    client = await client_of(world)
    await client.ask(b"a1 SELECT INBOX")
    world.mail.summaries = broken  # type: ignore[assignment,method-assign]
    with structlog.testing.capture_logs() as lines:
        assert (await client.ask(b"a2 FETCH 1 ENVELOPE"))[-1].startswith(b"a2 NO [SERVERBUG]")
    assert [(line["event"], line["command"]) for line in lines] == [("imap command failed", "Fetch")]
    assert (await client.ask(b"a3 NOOP"))[-1].startswith(b"a3 OK")


async def test_initial_response_and_long_sasl_answers(world: ImapWorld) -> None:
    client = await client_of(world, signed_in=False)
    long = base64.b64encode(b"\0" + b"a" * 2000 + b"\0x")
    assert (await client.ask(b"a1 AUTHENTICATE PLAIN " + long))[-1].startswith(b"a1 BAD")
    good = base64.b64encode(b"\0jo@surgery.example\0correct horse")
    assert (await client.ask(b"a2 AUTHENTICATE PLAIN " + good))[-1].startswith(b"a2 OK")
