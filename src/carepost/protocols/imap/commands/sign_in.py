"""Before the mail: capabilities, TLS, who it is. RFC 9051 §6.1, §6.2; P4, P6, P20.

Promises
    No password is taken in clear: LOGIN and AUTHENTICATE are refused before TLS, whatever they hold.
    A wrong password is answered later each time, and the conversation ends after a few.
"""

import asyncio

from carepost.base.errors import Malformed
from carepost.protocols.imap.conversation import Answer, Conversation
from carepost.wire import imap_replies as replies
from carepost.wire import sasl
from carepost.wire.imap import State
from carepost.wire.imap_commands import Authenticate, Capability, Enable, Id, Login, Logout, StartTls

_ALWAYS = ("IMAP4rev1", "IMAP4rev2", "LITERAL-", "SASL-IR", "ENABLE", "ID", "IDLE")
_AFTER_SIGN_IN = (
    "NAMESPACE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "CHILDREN",
    "STATUS=SIZE",
    "UIDPLUS",
    "UNSELECT",
    "MOVE",
    "CONDSTORE",
    "ESEARCH",
    "SEARCHRES",
    "WITHIN",
    "BINARY",
    "UTF8=ACCEPT",
)
_ENABLES = {"CONDSTORE": "CONDSTORE", "IMAP4REV2": "IMAP4rev2", "UTF8=ACCEPT": "UTF8=ACCEPT"}
_PRIVATE = "Passwords are taken over an encrypted connection only. Turn on TLS in your mail program."
_WRONG = "That address and app password do not belong together. Make an app password on your account page."


def capabilities(talk: Conversation) -> list[str]:
    """What is offered now: passwords only under TLS, the rest once signed in."""
    names = list(_ALWAYS)
    if talk.engine.state is State.NOT_AUTHENTICATED:
        if talk.line.secure:
            names.append("AUTH=PLAIN")
        else:
            names += ["STARTTLS", "LOGINDISABLED"] if talk.line.can_start_tls else ["LOGINDISABLED"]
        return names
    return [*names, *_AFTER_SIGN_IN, f"APPENDLIMIT={talk.services.limits.message_octets}"]


def greeting(talk: Conversation) -> bytes:
    return replies.untagged("OK", "Carepost is ready.", f"CAPABILITY {' '.join(capabilities(talk))}")


async def capability(talk: Conversation, _command: Capability) -> Answer:
    await talk.say(replies.capability(capabilities(talk)))
    return Answer.ok("These are offered now.")


async def identify(talk: Conversation, _command: Id) -> Answer:
    # No version: it would tell an attacker what to try.
    await talk.say(replies.identification({"name": "Carepost"}))
    return Answer.ok("Thank you.")


async def logout(talk: Conversation, _command: Logout) -> Answer:
    talk.unselect()
    await talk.say(replies.untagged("BYE", "Goodbye."))
    return Answer.ok("You have logged out.")


async def start_tls(talk: Conversation, _command: StartTls) -> Answer:
    if talk.line.secure:
        return Answer.bad("The connection is encrypted already.")
    if not talk.line.can_start_tls:
        return Answer.no("TLS is not available here.")
    return Answer.ok("Begin TLS now.")  # the connection does so after this line, and not before


async def enable(talk: Conversation, command: Enable) -> Answer:
    names = [_ENABLES[name] for name in command.names if name in _ENABLES]
    if "CONDSTORE" in names:
        talk.condstore = True
    if "IMAP4rev2" in names:
        talk.rev2 = talk.utf8 = True
    if "UTF8=ACCEPT" in names:
        talk.utf8 = True
    await talk.say(replies.enabled(dict.fromkeys(names)))
    return Answer.ok("These are on now.")


async def login(talk: Conversation, command: Login) -> Answer:
    if not talk.line.secure:
        return Answer.no(_PRIVATE, "PRIVACYREQUIRED")
    return await _check(talk, command.address, command.secret)


async def authenticate(talk: Conversation, command: Authenticate) -> Answer:
    if not talk.line.secure:
        return Answer.no(_PRIVATE, "PRIVACYREQUIRED")
    if command.mechanism != "PLAIN":
        return Answer.no("That way of signing in is not offered.", "CANNOT")
    response = command.initial
    if response is None:
        talk.engine.await_line()
        await talk.say(replies.challenge())
        response = await talk.line.read_line(wait_s=talk.services.limits.sign_in_s)
        if response is None:
            return Answer.no("No answer came in time.", "UNAVAILABLE")
    try:
        credentials = sasl.plain(sasl.decode_response(response))
    except Malformed as error:
        talk.engine.bad_command()
        return Answer.bad(error.public)
    if credentials.act_as and credentials.act_as != credentials.address:
        return Answer.no("Nobody signs in as somebody else. Shared mailboxes are under Shared/.", "AUTHORIZATIONFAILED")
    return await _check(talk, credentials.address, credentials.secret)


async def _check(talk: Conversation, address: str, secret: str) -> Answer:
    limits = talk.services.limits
    asked_at = asyncio.get_running_loop().time()
    async with asyncio.timeout(limits.command_s):
        who = await talk.services.sign_in.sign_in(address, secret, talk.line.client_address)
    if who is None:
        await asyncio.sleep(limits.wrong_password_wait_s * 2**talk.wrong_passwords)
        talk.wrong_passwords += 1
        return Answer.no(_WRONG, "AUTHENTICATIONFAILED")
    talk.line.admit(who, asked_at=asked_at)
    talk.who = who
    talk.engine.signed_in()
    return Answer.ok("You are signed in.", f"CAPABILITY {' '.join(capabilities(talk))}")
