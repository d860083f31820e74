"""T1: every route against everybody. A route without a row here fails; so does a row without a route.

The people: nobody signed in; somebody of another organisation; a colleague with no share in the mailbox; a member of the
shared mailbox; an owner of it; a local administrator; somebody who has not accepted the policy; an auditor.
What may come: 200; 303 to sign in; 303 elsewhere; 403 told; 404 as if it were not there.
"""

from dataclasses import dataclass, field

import pytest
from tests.fakes.asgi_browser import AsgiBrowser
from tests.fakes.gateway import connection
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.outbound_desk import outgoing_row
from tests.fakes.web_world import WebPerson, WebWorld, build_web_world

from carepost.directory.access import Verb
from carepost.directory.model import MailboxRecord, OrganisationKind, Role
from carepost.gateway.out.outgoing import OutState
from carepost.infra.db import Database
from carepost.web.shell import On

LETTER = (
    b"From: Lab <lab@trust.example>\r\nTo: results@riverside.example\r\nSubject: Result\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n--m\r\nContent-Type: text/plain\r\n\r\nwords\r\n'
    b'--m\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Disposition: attachment; filename="a.pdf"\r\n\r\n'
    b"%PDF-1.4\r\n--m--\r\n"
)
HELD = b"From: Bank <alerts@bank.example>\r\nTo: x@riverside.example\r\nSubject: Invoice\r\n\r\nwords\r\n"

WHO = ("anonymous", "foreigner", "colleague", "member", "owner", "administrator", "newcomer", "auditor")
ANYONE = dict.fromkeys(WHO, "ok")
SIGN_IN = {"anonymous": "sign in", "newcomer": "policy"}
# Anybody's own: every signed-in person, once the policy is accepted.
OWN = dict.fromkeys(WHO, "ok") | SIGN_IN
# Of the shared mailbox: its members and owners; for all others it does not exist, whatever their role (R41).
SHARED = dict.fromkeys(WHO, "not there") | {"member": "ok", "owner": "ok"} | SIGN_IN
# Of its owners only: whoever is a member sees that it is there.
OWNED = SHARED | {"member": "forbidden"}
REVIEW = dict.fromkeys(WHO, "forbidden") | {"administrator": "ok"} | SIGN_IN
# The whole service's: for global administrators, of whom none is here.
SERVICE = dict.fromkeys(WHO, "forbidden") | SIGN_IN

ROWS: dict[str, dict[str, str]] = {
    "sign-in": ANYONE,
    "sign-in.password": ANYONE,
    "sign-in.code": ANYONE,
    "sign-in.again": ANYONE,
    "aup": ANYONE,
    "signed-out": ANYONE,
    "help": ANYONE,
    "accessibility": ANYONE,
    "status": ANYONE,
    "livez": ANYONE,
    "readyz": ANYONE,
    "aup.ask": OWN | {"newcomer": "ok"},
    "aup.accept": OWN | {"newcomer": "ok"},
    "sign-out": OWN | {"newcomer": "ok"},
    "settings": OWN,
    "settings.writing": OWN,
    "settings.writing.choose": OWN,
    "wording": SHARED,
    "wording.change": SHARED,
    "wording.template": SHARED,
    "wording.template.keep": SHARED,
    "admin.wording": REVIEW,
    "admin.wording.change": REVIEW,
    "admin.wording.template": REVIEW,
    "admin.wording.template.keep": REVIEW,
    "settings.keyboard": OWN,
    "settings.sessions": OWN,
    "settings.grant": OWN,
    "settings.revoke": OWN,
    "settings.password": OWN,
    "settings.password.change": OWN,
    "mail.start": OWN,
    "mail.first": OWN,
    "mail.undo": OWN,
    "mail.mailbox": SHARED,
    "mail.folder": SHARED,
    "mail.do": SHARED,
    "mail.letter": SHARED,
    "mail.why": SHARED,
    "mail.move": SHARED,
    "mail.part": SHARED,
    "mail.places": SHARED,
    "mail.search": SHARED,
    "mail.counts": SHARED,
    "mail.folders": SHARED,
    "mail.folders.make": SHARED,
    "mail.folders.change": SHARED,
    "write": SHARED,
    "write.act": SHARED,
    "write.suggest": SHARED,
    "write.forget": SHARED,
    "outgoing.all": SHARED,
    "outgoing.of": dict.fromkeys(WHO, "not there") | SIGN_IN,  # it lies in the inbox: nobody sent it
    "files.begin": SHARED,
    "files.standing": SHARED,
    "files.take": SHARED,
    "files.look": SHARED,
    # Which mailboxes may have a file is asked within: see test_large_files.py.
    "files.fetch": SHARED,
    "people": SHARED,
    "people.note": SHARED,
    "autoreply": OWNED,
    "autoreply.set": OWNED,
    "forwarding": OWNED,
    "forwarding.change": OWNED,
    "admin.forwarding": REVIEW,
    "admin.forwarding.decide": REVIEW,
    # The walk asks for the mailbox that sent it; here its stand-in does.
    "outgoing.one": SHARED,
    "outgoing.settle": SHARED,
    "outgoing.secure": SHARED,
    "outgoing.secure.settle": SHARED,
    "invite": SHARED,
    "invite.send": SHARED,
    "quarantine": REVIEW,
    "quarantine.one": REVIEW,
    "quarantine.settle": REVIEW,
    "admin.policy": REVIEW,
    "admin.policy.preview": REVIEW,
    "admin.policy.apply": REVIEW,
    "admin.held": REVIEW,
    "admin.held.one": REVIEW,
    "admin.held.settle": REVIEW,
    "admin.exceptions": SERVICE,
    "admin.exceptions.settle": SERVICE,
    "admin.register": SERVICE,
    "admin.register.preview": SERVICE,
    "admin.register.apply": SERVICE,
}


@dataclass
class Scene:
    world: WebWorld
    box: MailboxRecord
    folder: int
    uid: int
    held: int
    file: str
    tokens: dict[str, str] = field(default_factory=dict)

    def path(self, template: str) -> str:
        return (
            template.replace("{mailbox:int}", str(self.box.id))
            .replace("{folder:int}", str(self.folder))
            .replace("{uid:int}", str(self.uid))
            .replace("{held:int}", str(self.held))
            .replace("{outgoing:int}", "1")
            .replace("{part}", "2")
            .replace("{file}", self.file)
        )

    def browser(self, who: str) -> AsgiBrowser:
        return self.world.browser(self.tokens.get(who))


async def build_scene(world: WebWorld) -> Scene:
    here = await world.organisations.create(OPERATOR, code="A81001", name="Here", kind=OrganisationKind.PRACTICE)
    there = await world.organisations.create(OPERATOR, code="A81002", name="There", kind=OrganisationKind.PRACTICE)
    people: dict[str, WebPerson] = {
        "foreigner": await world.web_person(there, "Fay Foreigner"),
        "colleague": await world.web_person(here, "Col Colleague"),
        "member": await world.web_person(here, "Mo Member"),
        "owner": await world.web_person(here, "Olu Owner"),
        "administrator": await world.web_person(here, "Ann Administrator", Role.LOCAL_ADMINISTRATOR),
        "newcomer": await world.web_person(here, "Nia Newcomer", accepts=False),
        "auditor": await world.web_person(here, "Aud Auditor", Role.AUDITOR),
    }
    second = await world.web_person(here, "Sue Second")
    box = await world.shared(here, "Results", people["owner"], second, members=[people["member"]])
    uid = await world.letter(box, LETTER)
    await world.receive(HELD, box, from_=connection(client="192.0.2.66"))
    held = (await world.quarantine.page(people["administrator"].actor, here)).held[0].id
    world.held.hold("a@shop.example")
    scene = Scene(world, box, await world.inbox(box), uid, held, await world.large_file(box))
    world.desk.seen_by = {people[who].actor.person for who in ("member", "owner")}
    world.desk.rows.append(outgoing_row(world.clock.now(), box.id, state=OutState.RELEASED))
    for who, person in people.items():
        scene.tokens[who] = await world.session_of(person)
    return scene


async def test_every_route_is_in_the_table_and_names_its_permission(world: WebWorld) -> None:
    assert {door.name for door in world.sites.doors} == set(ROWS)
    assert len({door.name for door in world.sites.doors}) == len(world.sites.doors)
    for door in world.sites.doors:
        if door.verb is None:
            assert ROWS[door.name] is ANYONE, f"{door.name} is open to anyone and its row does not say so"
            assert door.on is On.NOBODY
        else:
            assert isinstance(door.verb, Verb)
            assert door.on is not On.NOBODY


def came(status: int, location: str) -> str:
    if status == 303 and location.startswith("/sign-in"):
        return "sign in"
    if status == 303 and location.startswith("/acceptable-use/accept"):
        return "policy"
    return {403: "forbidden", 404: "not there"}.get(status, "ok")


@pytest.mark.slow
async def test_everybody_at_every_door(database: Database, relay_database: Database) -> None:
    scene = await build_scene(await build_web_world(database, relay_database))
    wrong: list[str] = []
    doors = sorted(
        scene.world.sites.doors, key=lambda door: (door.name == "sign-out", door.name == "settings.sessions")
    )
    for door in doors:
        if door.name in {"sign-out", "settings.sessions", "quarantine.settle", "aup.accept"}:
            continue  # they change what the others stand on: each has its own test below or beside
        for who in WHO:
            browser = scene.browser(who)
            if door.method == "GET":
                page = await browser.get(scene.path(door.path))
            elif door.streams:
                page = await browser.stream(scene.path(door.path), b"", _proof(scene, who, browser))
            else:
                page = await browser.post(scene.path(door.path), {"csrf": _proof(scene, who, browser)})
            expected, got = ROWS[door.name][who], came(page.status, page.location)
            # A permitted form with nothing in it is told that something is missing: the door was open.
            allowed = (
                expected == "ok" and got in {"ok", "not there"} and door.method == "POST" and door.on is not On.MAILBOX
            )
            if door.name == "sign-in.again":
                allowed = got == "sign in"  # it leads there, whoever asks
            if got != expected and not allowed:
                wrong.append(f"{who} at {door.method} {door.path}: {got} ({page.status}), expected {expected}")
    assert wrong == []


def _proof(scene: Scene, who: str, browser: AsgiBrowser) -> str:
    """The proof that a form of this person would carry."""
    from carepost.web.sealing import Notes

    cookie = scene.tokens.get(who, "passer-by")
    if who not in scene.tokens:
        browser.cookies["__Host-passerby"] = cookie
    return Notes(b"s" * 32, scene.world.clock).form_proof(cookie)


async def test_only_an_administrator_settles_what_is_held_and_the_helpdesk_only_looks(
    database: Database, relay_database: Database
) -> None:
    scene = await build_scene(await build_web_world(database, relay_database))
    for who in ("foreigner", "colleague", "member", "owner", "auditor"):
        browser = scene.browser(who)
        answer = await browser.post(
            f"/quarantine/{scene.held}", {"csrf": _proof(scene, who, browser), "do": "release", "reason": "x"}
        )
        assert answer.status in {403, 404}, who
    browser = scene.browser("administrator")
    fields = {"csrf": _proof(scene, "administrator", browser), "do": "release", "reason": "known sender"}
    assert (await browser.post(f"/quarantine/{scene.held}", fields)).status == 303


async def test_a_session_of_another_organisation_cannot_name_our_numbers(
    database: Database, relay_database: Database
) -> None:
    """IDOR: every number of ours in the paths of somebody elsewhere."""
    scene = await build_scene(await build_web_world(database, relay_database))
    browser = scene.browser("foreigner")
    own = scene.world.people_by_name["Fay Foreigner"].mailbox.id
    mine = f"/mail/{own}/{scene.folder}/{scene.uid}"
    for path in (mine, f"/mail/{own}/{scene.folder}", f"{mine}/why", f"{mine}/part/2", f"/quarantine/{scene.held}"):
        assert (await browser.get(path)).status in {403, 404}, path


async def test_undo_is_for_the_session_and_the_mailbox_that_it_was_made_in(
    database: Database, relay_database: Database
) -> None:
    from datetime import timedelta

    from carepost.web.sealing import Notes, SaidNote

    scene = await build_scene(await build_web_world(database, relay_database))
    notes = Notes(b"s" * 32, scene.world.clock)
    note = SaidNote("x", mailbox=scene.box.id, folder=scene.folder, back_to=scene.folder + 1, uids=(scene.uid,))
    stolen = notes.seal(note, bound_to=scene.tokens["member"], lasts=timedelta(minutes=5))
    own = notes.seal(note, bound_to=scene.tokens["colleague"], lasts=timedelta(minutes=5))
    browser = scene.browser("colleague")
    for undo in (stolen, own):
        answer = await browser.post("/mail/undo", {"csrf": _proof(scene, "colleague", browser), "undo": undo})
        assert answer.status in {400, 404}
