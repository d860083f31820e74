"""What can be forgotten: events that nobody raises, settings that nobody reads, commands without help."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import typer
from tests.guard.tree import all_tests, modules

from carepost.audit import (  # noqa: F401 - their events are subclasses of Event
    events_automatic,
    events_correspondents,
    events_delivery,
    events_files,
    events_mail,
    events_outgoing,
    events_portal,
    events_queue,
    events_rules,
    events_smime,
    events_writing,
)
from carepost.audit.events import Event, EventName
from carepost.cli.commands import tree
from carepost.infra.settings import Settings
from carepost.infra.settings_file import sentences

# Events with a name and a form that nothing raises yet, each with what it waits for. Not one more without a reason.
NOT_RAISED_YET = {
    "AuditRead": "a page that shows the record",
    "FolderCreated": "the store's folders, which record nothing yet",
    "FolderDeleted": "the store's folders, which record nothing yet",
    "FolderRenamed": "the store's folders, which record nothing yet",
    "KeysMinted": "the keystore; the organisation's or mailbox's own event tells of it meanwhile",
    "MailReceived": "front servers; what came of a message is recorded instead (delivered, held, refused)",
    "MessagesCopied": "the store's filing, which records moves and expunges",
    "MessagesFiled": "the store's filing, which records moves and expunges",
    "RestoreChecked": "restores are checked apart from a running service, whose record it would be",
}
# Settings that are described and that no room uses yet, each with what it waits for.
NOT_READ_YET = {
    "limits.mailbox_gb": "quotas are not built, and its sentence says so",
}


def _events(kind: type[Event] = Event) -> Iterator[type[Event]]:
    for child in kind.__subclasses__():
        if "__dataclass_fields__" in child.__dict__:
            yield child
            yield from _events(child)


def _event_names() -> dict[str, EventName]:
    # A slotted dataclass is made twice: by name there is one of each.
    return {kind.__name__: kind.name for kind in _events()}


def _calls() -> set[str]:
    return {
        ast.unparse(node.func).rpartition(".")[2]
        for tree_ in modules().values()
        for node in ast.walk(tree_)
        if isinstance(node, ast.Call)
    }


def _aliases() -> dict[str, str]:
    """`from ... import BackupMade as BackupWasMade`: what a class is called where it is raised."""
    return {
        alias.asname: alias.name
        for tree_ in modules().values()
        for node in ast.walk(tree_)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }


def test_every_event_is_raised_somewhere() -> None:
    called = _calls()
    raised = called | {name for alias, name in _aliases().items() if alias in called}
    silent = _event_names().keys() - raised
    assert silent - NOT_RAISED_YET.keys() == set(), "nobody raises these"
    assert NOT_RAISED_YET.keys() - silent == set(), "these are raised now: take them off the list"


def test_every_event_that_is_raised_is_named_by_a_test() -> None:
    tests = all_tests().replace("NOT_RAISED_YET", "")
    unnamed = {
        name
        for name, event in _event_names().items()
        if name not in NOT_RAISED_YET
        and not re.search(
            rf"\b(events|events_[a-z_]+)\.{name}\b|\b{name}\(|{re.escape(event.value)}|EventName\.{event.name}\b", tests
        )
    }
    assert unnamed == set()


def _settings() -> Iterator[tuple[str, str, type[Any]]]:
    for section in msgspec.structs.fields(Settings):
        for field in msgspec.structs.fields(section.type):
            yield section.name, field.name, section.type


def test_every_setting_has_a_sentence() -> None:
    for section, name, kind in _settings():
        sentence = sentences(kind)[name]
        assert sentence.endswith((".", "?")), f"{section}.{name}"
        assert len(sentence) > 15, f"{section}.{name}"


def test_every_setting_is_read_by_the_program() -> None:
    """`settings.smtp.spool`, or `given.spool` where `given = settings.smtp`: by its attribute, outside the settings."""
    read = {
        node.attr
        for path, tree_ in modules().items()
        if path.name not in {"settings.py", "settings_file.py"} and path.parts[2] in {"app", "cli"}
        for node in ast.walk(tree_)
        if isinstance(node, ast.Attribute)
    }
    unread = {f"{section}.{name}" for section, name, _ in _settings() if name not in read}
    assert unread - NOT_READ_YET.keys() == set(), "these do nothing"
    assert NOT_READ_YET.keys() - unread == set(), "these are read now: take them off the list"


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child_name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, f"{name} {child_name}")


def test_every_command_and_every_option_has_help() -> None:
    silent = []
    found = list(_commands(typer.main.get_command(tree()), "carepost"))
    assert len(found) > 30
    for name, command in found:
        if not command.help:
            silent.append(name)
        for parameter in command.params:
            says = getattr(parameter, "help", None)
            # GIVEN_NAME and its like say it themselves.
            if not says and parameter.param_type_name == "option":
                silent.append(f"{name} {parameter.opts[0]}")
    assert silent == []
