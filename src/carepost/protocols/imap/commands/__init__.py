"""What each command does: one short coroutine a command, in the file of its noun.

Promises
    `perform` answers every command with exactly one tagged line's worth, whatever goes wrong.
    News of the selected folder follows the command; EXPUNGE only where RFC 9051 §7.5.1 lets it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from carepost.base.errors import MailError, NotAllowed
from carepost.directory.access import Verb
from carepost.infra.log import get_logger
from carepost.protocols.imap.commands import (
    appending,
    fetching,
    filing,
    folders,
    idling,
    listing,
    searching,
    selecting,
    sign_in,
)
from carepost.protocols.imap.conversation import Answer, Conversation
from carepost.protocols.imap.ports import ANSWERS
from carepost.wire import imap_commands as commands
from carepost.wire import imap_replies as replies
from carepost.wire.imap_commands import Command

log = get_logger("imap")

Doing = Callable[[Conversation, Any], Awaitable[Answer]]

PERFORM: Mapping[type[Command], Doing] = {
    commands.Capability: sign_in.capability,
    commands.Id: sign_in.identify,
    commands.Logout: sign_in.logout,
    commands.StartTls: sign_in.start_tls,
    commands.Login: sign_in.login,
    commands.Authenticate: sign_in.authenticate,
    commands.Enable: sign_in.enable,
    commands.Namespace: listing.namespace,
    commands.List: listing.list_folders,
    commands.Lsub: listing.lsub,
    commands.Status: listing.status,
    commands.Create: folders.create,
    commands.Delete: folders.delete,
    commands.Rename: folders.rename,
    commands.Subscribe: folders.subscribe,
    commands.Unsubscribe: folders.unsubscribe,
    commands.Select: selecting.select,
    commands.Unselect: selecting.unselect,
    commands.Close: selecting.close,
    commands.Check: selecting.look,
    commands.Noop: selecting.look,
    commands.Append: appending.append,
    commands.Idle: idling.idle,
    commands.Fetch: fetching.fetch,
    commands.Search: searching.search,
    commands.Store: filing.store,
    commands.Copy: filing.copy,
    commands.Expunge: filing.expunge,
}

# These end by their own deadlines: the first by what the client takes, the others by name.
_OWN_DEADLINE = (
    commands.Fetch,
    commands.Search,
    commands.Idle,
    commands.StartTls,
    commands.Login,
    commands.Authenticate,
)


async def perform(talk: Conversation, command: Command) -> Answer:
    """Do it, tell the news, and return the answer. Raises only ConnectionError and CancelledError."""
    if not isinstance(command, commands.Fetch):
        talk.last_body = None
    answer = await _perform(talk, command)
    if talk.selected is not None:
        await _news(talk, command)
    return answer


async def _perform(talk: Conversation, command: Command) -> Answer:
    doing = PERFORM[type(command)]
    try:
        if isinstance(command, _OWN_DEADLINE):
            return await doing(talk, command)
        async with asyncio.timeout(talk.services.limits.command_s):
            return await doing(talk, command)
    except MailError as error:
        return _answer_for(error)
    except TimeoutError:
        return Answer.no("This takes too long just now. Please try again in a few minutes.", "UNAVAILABLE")
    except ConnectionError:
        raise
    except Exception:
        log.exception("imap command failed", command=type(command).__name__)
        return Answer.no("Something went wrong on our side. Nothing is lost; please try again.", "SERVERBUG")


async def _news(talk: Conversation, command: Command) -> None:
    selected = talk.folder
    by_number = isinstance(command, (commands.Fetch, commands.Store, commands.Search)) and not command.uid
    try:
        async with asyncio.timeout(talk.services.limits.command_s):
            await talk.ask(Verb.MAILBOX_READ, selected.mailbox)
            await talk.look()
    except NotAllowed:
        talk.unselect()
        await talk.say(replies.untagged("OK", "You no longer have access to this mailbox.", "CLOSED"))
        return
    except (MailError, TimeoutError):
        talk.changed = True  # it is told after a later command
    await talk.tell(expunges=not by_number)


def _answer_for(error: MailError) -> Answer:
    code = error.private.get("code")
    if not isinstance(code, str):
        code = next((code for family, code in ANSWERS.items() if isinstance(error, family)), "SERVERBUG")
    return Answer.no(error.public, code)
