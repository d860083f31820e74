"""From one command's pieces to one value: a table of words, one short function a command. RFC 9051 §9.

Promises
    `parse` returns a command or raises Malformed; nothing else, whatever came.
    FETCH and STORE are read in `imap_grammar_fetch`, SEARCH in `imap_grammar_search`, LIST and STATUS in
    `imap_grammar_folders`.
"""

import re
from collections.abc import Callable, Mapping

from carepost.base.errors import Malformed
from carepost.wire import imap_commands as commands
from carepost.wire.imap_commands import Command
from carepost.wire.imap_grammar_fetch import copy, fetch, flags_to_set, store
from carepost.wire.imap_grammar_folders import create, list_folders, lsub, status
from carepost.wire.imap_grammar_search import search
from carepost.wire.imap_lexer import Scanner
from carepost.wire.imap_limits import ImapLimits
from carepost.wire.imap_sets import number_set

_TAG = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]{1,128}) ')


def tag_of(first: bytes) -> str | None:
    """The tag of a command that may not parse, so that its refusal can name it."""
    found = _TAG.match(first)
    return found[1].decode("ascii") if found else None


def is_append(first: bytes) -> bool:
    """Whether a command's first piece begins an APPEND: the one whose literal may be a message."""
    words = first.split(b" ", 2)
    return len(words) == 3 and words[1].upper() == b"APPEND"


def parse(pieces: tuple[bytes, ...], limits: ImapLimits) -> tuple[str, Command]:
    """The tag and the command. Raise Malformed."""
    scanner = Scanner(pieces, depth=limits.search_depth, arguments=limits.arguments)
    tag = scanner.tag()
    scanner.space()
    uid = scanner.take_word(b"UID ")
    word = scanner.keyword("a command")
    if word == "SEARCH":
        command: Command = search(scanner, uid=uid, keys_max=limits.search_keys)
        scanner.end()
        return tag, command
    grammar = (_AFTER_UID if uid else _COMMANDS).get(word)
    if grammar is None:
        raise Malformed("there is no such command")
    command = grammar(scanner)
    scanner.end()
    return tag, command


def _login(scanner: Scanner) -> Command:
    scanner.space()
    address = scanner.text("an address")
    scanner.space()
    return commands.Login(address, scanner.text("a password"))


def _authenticate(scanner: Scanner) -> Command:
    scanner.space()
    mechanism = scanner.keyword("a mechanism")
    initial = scanner.astring("an initial answer") if scanner.take(b" ") else None
    return commands.Authenticate(mechanism, initial)


def _enable(scanner: Scanner) -> Command:
    names: list[str] = []
    while scanner.take(b" "):
        scanner.count()
        names.append(scanner.keyword("an extension"))
    if not names:
        raise Malformed("expected an extension")
    return commands.Enable(tuple(names))


def _id(scanner: Scanner) -> Command:
    scanner.space()
    if not scanner.take_word(b"NIL") and not scanner.take(b"()"):
        pairs = scanner.listed(scanner.nstring)
        if len(pairs) % 2 or len(pairs) > 60:  # RFC 2971 §3.3: thirty pairs at most.
            raise Malformed("expected pairs of a name and a value")
    return commands.Id()


def _rename(scanner: Scanner) -> Command:
    scanner.space()
    name = scanner.folder()
    scanner.space()
    return commands.Rename(name, scanner.folder())


def _select(scanner: Scanner, *, read_only: bool) -> Command:
    scanner.space()
    name = scanner.folder()
    condstore = False
    if scanner.take(b" "):
        parameters = [word.upper() for word in scanner.listed(scanner.atom)]
        if parameters != ["CONDSTORE"]:
            raise Malformed("expected CONDSTORE")
        condstore = True
    return commands.Select(name, read_only=read_only, condstore=condstore)


def _append(scanner: Scanner) -> Command:
    scanner.space()
    name = scanner.folder()
    scanner.space()
    flags: tuple[str, ...] = ()
    if scanner.peek(b"("):
        flags = flags_to_set(scanner)
        scanner.space()
    at = None
    if scanner.peek(b'"'):
        at = scanner.date_time()
        scanner.space()
    if scanner.take_word(b"UTF8 ("):  # RFC 6855 §4
        scanner.take(b"~")
        message = scanner.literal()
        scanner.expect(b")")
    else:
        message = scanner.literal()
    return commands.Append(name, flags, at, message)


def _uid_expunge(scanner: Scanner) -> Command:
    scanner.space()
    return commands.Expunge(number_set(scanner))


def _plain(command: Callable[[], Command]) -> Callable[[Scanner], Command]:
    return lambda _scanner: command()


def _named(command: Callable[[str], Command]) -> Callable[[Scanner], Command]:
    def grammar(scanner: Scanner) -> Command:
        scanner.space()
        return command(scanner.folder())

    return grammar


_COMMANDS: Mapping[str, Callable[[Scanner], Command]] = {
    "CAPABILITY": _plain(commands.Capability),
    "NOOP": _plain(commands.Noop),
    "LOGOUT": _plain(commands.Logout),
    "ID": _id,
    "STARTTLS": _plain(commands.StartTls),
    "LOGIN": _login,
    "AUTHENTICATE": _authenticate,
    "ENABLE": _enable,
    "NAMESPACE": _plain(commands.Namespace),
    "LIST": list_folders,
    "LSUB": lsub,
    "CREATE": create,
    "DELETE": _named(commands.Delete),
    "RENAME": _rename,
    "SUBSCRIBE": _named(commands.Subscribe),
    "UNSUBSCRIBE": _named(commands.Unsubscribe),
    "STATUS": status,
    "SELECT": lambda scanner: _select(scanner, read_only=False),
    "EXAMINE": lambda scanner: _select(scanner, read_only=True),
    "APPEND": _append,
    "IDLE": _plain(commands.Idle),
    "CHECK": _plain(commands.Check),
    "CLOSE": _plain(commands.Close),
    "UNSELECT": _plain(commands.Unselect),
    "EXPUNGE": _plain(commands.Expunge),
    "FETCH": lambda scanner: fetch(scanner, uid=False),
    "STORE": lambda scanner: store(scanner, uid=False),
    "COPY": lambda scanner: copy(scanner, uid=False, move=False),
    "MOVE": lambda scanner: copy(scanner, uid=False, move=True),
}

_AFTER_UID: Mapping[str, Callable[[Scanner], Command]] = {
    "EXPUNGE": _uid_expunge,
    "FETCH": lambda scanner: fetch(scanner, uid=True),
    "STORE": lambda scanner: store(scanner, uid=True),
    "COPY": lambda scanner: copy(scanner, uid=True, move=False),
    "MOVE": lambda scanner: copy(scanner, uid=True, move=True),
}
