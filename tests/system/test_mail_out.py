"""Mail out on the running service, as a mail program sends it: by 465 and 587, to mail hosts that a tap listens to."""

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import smtplib
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial

import pytest
from tests.fakes.outside_world import OutsideWorld
from tests.fakes.running_service import (
    HOSTNAME,
    OPERATOR,
    PATIENCE,
    RunningService,
    copied,
    forget,
    message,
    short_home,
)
from tests.system.conftest import LONG
from tests.system.test_thunderbird import Marionette, thunderbird

from carepost.app.areas import Areas
from carepost.app.delivery_rooms import delivery_rooms
from carepost.app.mail_out_joined import sending
from carepost.audit.model import Actor
from carepost.base.address import Domain, EmailAddress
from carepost.mailauth.dkim import DkimStatus, verify_dkim
from carepost.mailauth.fields import split_message
from carepost.mailauth.resolver import FakeResolver
from carepost.ops.demo.zone import zone_toml

__all__ = ["thunderbird"]

pytestmark = pytest.mark.slow

ANN, JO, KIM, LOU = (f"{name}@willow.example" for name in ("ann.lee", "jo.ray", "kim.ode", "lou.fry"))
NHS = "943 476 5919"  # of the range for tests, with its check digit
TRUST, WRONG = "lakeside-trust.example", "harbour-trust.example"


@dataclass(frozen=True)
class Out:
    """A running service and the world that its mail goes to."""

    service: RunningService
    world: OutsideWorld

    def smtp(self, port: str = "submission", sender: str = "ann.lee") -> smtplib.SMTP:
        """Signed in, over TLS whose certificate was verified."""
        at, context = self.service.ports[port], self.service.client_tls()
        client: smtplib.SMTP
        if port == "submissions":
            client = smtplib.SMTP_SSL("localhost", at, context=context, timeout=PATIENCE)
        else:
            client = smtplib.SMTP("localhost", at, timeout=PATIENCE)
            client.starttls(context=context)
        account = self.service.accounts[sender]
        client.login(account.address, account.app_password)
        return client

    def send(
        self, subject: str, *to: str, port: str = "submission", text: str = "We meet at nine.", **more: str
    ) -> str:
        """The reference in the 250."""
        with self.smtp(port) as client:
            assert client.docmd("MAIL", f"FROM:<{ANN}>")[0] == 250
            for one in (*to, *more.values()):
                assert client.docmd("RCPT", f"TO:<{one}>")[0] == 250
            code, said = client.data(letter(subject, *to, text=text, **more))
        assert code == 250, said
        return said.split()[1].decode()

    def knows(self, address: str) -> None:
        """It has been written to before: nothing is asked about that."""
        self.send("How are you", address)
        await_true(lambda: bool(self.world.arrived_for(address)), f"nothing arrived for {address}")

    def became(self, reference: str) -> dict[str, str]:
        """What became of it so far, recipient by recipient, as `carepost trace` tells."""
        told = self.service.run("trace", "--sender", ANN, "--limit", "200", "--json").stdout
        rows = [json.loads(line) for line in told.splitlines()]
        return {row["recipient"]: row["became"] for row in rows if row["reference"] == reference}

    def letters(self, name: str, subject: str, folder: str = "INBOX") -> list[EmailMessage]:
        """What lies in a folder under that subject."""
        read = (message_from_bytes(raw, policy=policy.default) for raw in self.service.read(name, folder=folder))
        return [one for one in read if one["Subject"] == subject]  # type: ignore[misc]

    def await_letter(self, name: str, subject: str) -> EmailMessage:
        await_true(lambda: bool(self.letters(name, subject)), f"no {subject!r} for {name}")
        [found] = self.letters(name, subject)
        return found

    def await_outside(self, subject: str) -> None:
        await_true(lambda: bool(self.world.arrived(subject)), f"{subject!r} did not arrive outside")


def letter(subject: str, *to: str, text: str, sender: str = ANN, **more: str) -> bytes:
    made = EmailMessage(policy=policy.SMTP)
    made["From"], made["To"], made["Subject"] = sender, ", ".join(to), subject
    for name, value in more.items():
        made[name] = value
    made.set_content(text)
    return made.as_bytes()


def await_true(condition: Callable[[], bool], why: str, seconds: float = PATIENCE, pause: float = 0.1) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, why
        time.sleep(pause)


@pytest.fixture(scope="module")
def out(template: RunningService) -> Iterator[Out]:
    service = copied(template, short_home())
    world = OutsideWorld(service.home / "tls").start()
    try:
        # Somebody outside who may send from here, and whose mail arrives at the tap.
        zone = zone_toml(HOSTNAME).replace(
            "[txt]\n", '[txt]\n"patients.example" = ["v=spf1 ip4:127.0.0.0/8 ip6:::1 -all"]\n'
        )
        (service.home / "zone.toml").write_text(zone + '"patients.example" = [[10, "mail.gmail.example"]]\n')
        service.write_config(
            {
                "mail_out": {"undo_seconds": 1, "undo_seconds_outside": 1, "messages_a_minute": 100_000},  # no deadline
                "transport": {"connect_to": f"127.0.0.1:{world.port}", "authorities_file": str(service.ca_file)},
            }
        )
        service.start()
        service.with_areas(list_secure_domains)
        yield Out(service, world)
    finally:
        service.close()
        forget(service.home)
        world.close()


async def list_secure_domains(areas: Areas) -> None:
    for domain in (TRUST, WRONG):
        await areas.directory.organisations.list_secure_domain(OPERATOR, Domain(domain), source="a test")


@pytest.mark.parametrize("port", ["submission", "submissions"])
def test_a_colleague_gets_it_and_the_sender_has_a_copy(out: Out, port: str) -> None:
    subject = f"Rota by {port}"
    out.send(subject, JO, port=port, Bcc=LOU)
    got = out.await_letter("jo.ray", subject)
    assert got.get_content().strip() == "We meet at nine."
    assert got["Bcc"] is None
    [kept] = out.letters("ann.lee", subject, "Sent")
    assert kept["Bcc"] == LOU, "the sender's own copy tells whom it was for"
    assert out.world.arrived(subject) == []


def test_nobody_signs_in_with_a_wrong_password_or_before_tls(out: Out) -> None:
    with smtplib.SMTP("localhost", out.service.ports["submission"], timeout=PATIENCE) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("AUTH", "PLAIN AGEAYgBj")[0] == 538
        client.starttls(context=out.service.client_tls())
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(ANN, "none of hers")
        assert client.docmd("MAIL", f"FROM:<{ANN}>")[0] == 530


def test_nobody_writes_as_somebody_else(out: Out) -> None:
    with out.smtp() as client:
        assert client.docmd("MAIL", f"FROM:<{JO}>")[0] in {550, 553}
        assert client.docmd("MAIL", "FROM:<boss@gmail.example>")[0] in {550, 553}
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail(ANN, [LOU], letter("As the boss", LOU, text="Pay it.", sender="boss@willow.example"))
        assert refused.value.smtp_code == 550
        client.sendmail(ANN, [LOU], letter("As myself", LOU, text="Do not."))
    out.await_letter("lou.fry", "As myself")
    assert out.letters("lou.fry", "As the boss") == []


def test_a_secure_domain_gets_it_over_verified_tls_and_signed(out: Out) -> None:
    swaks = shutil.which("swaks")
    if swaks is None:
        pytest.skip("swaks is not on this machine (Debian: apt-get install swaks)")
    to, subject, account = f"ward@{TRUST}", "Discharge letter", out.service.accounts["ann.lee"]
    out.knows(to)
    command = [
        *(swaks, "--server", "localhost", "--port", str(out.service.ports["submission"])),
        *("--tls", "--tls-verify", "--tls-ca-path", str(out.service.ca_file), "--auth", "PLAIN"),
        *("--auth-user", account.address, "--auth-password", account.app_password),
        *("--from", ANN, "--to", to, "--header", f"Subject: {subject}", "--body", f"NHS number {NHS}."),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout[-2000:]
    out.await_outside(subject)
    [arrived] = out.world.arrived(subject)
    assert (arrived.sender, arrived.recipients) == (ANN, (to,))
    assert arrived.tls is not None
    assert (arrived.tls.version, arrived.tls.host) == ("TLSv1.3", f"mail.{TRUST}")
    assert NHS.encode() in arrived.raw
    assert NHS.encode() not in out.world.wire
    keys = out.service.with_areas(_keys)
    assert signatures(keys, arrived.raw) == [DkimStatus.PASS, DkimStatus.PASS], "RSA for all, Ed25519 as well"
    assert signatures(keys, arrived.raw.replace(b"NHS number", b"NHS mumber")) == [DkimStatus.FAIL, DkimStatus.FAIL]


async def _keys(areas: Areas) -> FakeResolver:
    published = await delivery_rooms(areas).signing.published(Domain("willow.example"))
    return FakeResolver(txt={one.name: [one.record] for one in published})


def signatures(keys: FakeResolver, raw: bytes) -> list[DkimStatus]:
    """What our own verifier says of each."""
    headers, body = split_message(raw)
    return [one.status for one in asyncio.run(verify_dkim(keys, headers=headers, body=body, now=datetime.now(UTC)))]


def test_a_secure_domain_with_a_wrong_certificate_waits_and_nothing_is_said_in_clear(out: Out) -> None:
    secret, to = "Apixaban was stopped on Thursday", f"ward@{WRONG}"
    reference = out.send("Anticoagulation", to, text=secret)
    told = out.await_letter("ann.lee", "Delayed: Anticoagulation")
    words = told.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "could not be protected" in words
    assert "certificate" in words
    assert to in words
    assert out.world.arrived("Anticoagulation") == []
    assert f"mail.{WRONG}".encode() in out.world.wire, "there was a conversation, and the tap heard its beginning"
    for word in (secret, to, "Anticoagulation"):
        assert word.encode() not in out.world.wire
    assert out.became(reference) == {to: "queued"}
    out.service.with_areas(partial(_link_instead, reference=reference))
    await_true(lambda: out.became(reference) == {to: "noticed"}, "no notice came")
    [notice] = out.world.arrived_for(to)
    for word in (secret, "Anticoagulation"):
        assert word.encode() not in notice.raw
        assert word.encode() not in out.world.wire
    # The tap hears what is said in clear: the same words by somebody careless.
    with smtplib.SMTP("127.0.0.1", out.world.port, timeout=PATIENCE) as careless:
        careless.sendmail(ANN, [f"tap@{TRUST}"], letter("Careless", f"tap@{TRUST}", text=secret))
    assert secret.encode() in out.world.wire
    out.world.wire.clear()


async def _link_instead(areas: Areas, *, reference: str) -> None:
    """As the page of the message does it, when its sender presses "Send a secure link instead"."""
    out, ann = sending(areas).out, await areas.directory.look.person_at(EmailAddress.parse(ANN))
    assert ann is not None
    assert ann.mailbox is not None
    actor = Actor.for_person(ann.id, ann.organisation, ann.name)
    rows = (await out.view.page(actor, ann.mailbox)).rows
    [row] = [one for one in rows if one.trace == reference]
    await out.outbound.resend(actor, row.id, 0, by_link=True)


def test_the_organisations_own_rules_and_disclaimer_hold_for_a_mail_program(out: Out) -> None:
    """R146, R159. Set at the command line, in force in every process within seconds; DKIM signs what they made."""
    rules = ("disclaimer=Not for you? Please tell us.", "text.card-number=block")
    shown = out.service.run("policy", "set", "Y90001", *rules, "--reason", "a test")
    assert "a payment card number, in the text or a file: encrypt -> block" in shown.stdout
    done = out.service.run("policy", "set", "Y90001", *rules, "--reason", "a test", "--apply")
    assert done.stdout.endswith("Version 1 is in force.\n"), done.stderr
    mark, subjects = b"[CAREPOST-NOTE-Y90001]", iter(f"Opening hours {number}" for number in range(1000))

    def carries() -> bool:
        out.send(subject := next(subjects), "a.friend@gmail.example")
        out.await_outside(subject)
        return mark in out.world.arrived(subject)[0].raw

    await_true(carries, "what leaves has no disclaimer", pause=1)
    out.send(
        "The last word", "a.friend@gmail.example", text=f"Yes.\r\n> Not for you? Please tell us.\r\n> {mark.decode()}"
    )
    out.await_outside("The last word")
    [arrived] = out.world.arrived("The last word")
    assert arrived.raw.count(mark) == 1
    keys = out.service.with_areas(_keys)
    assert signatures(keys, arrived.raw) == [DkimStatus.PASS, DkimStatus.PASS]

    def refused() -> bool:
        to = "a.friend@gmail.example"
        bill = letter("The bill", to, text="Card 4111 1111 1111 1111, valid until 12/29.")
        with out.smtp() as client:
            client.docmd("MAIL", f"FROM:<{ANN}>")
            client.docmd("RCPT", f"TO:<{to}>")
            _, said = client.data(bill)
        whole = said.replace(b"\n5.7.1 ", b"")  # a long reply has several lines
        return b"Willow Practice does not let a payment card number leave" in whole

    await_true(refused, "a card number was taken", pause=1)
    assert b"4111" not in b"".join(one.raw for one in out.world.arrived("The bill"))
    again = out.service.run(
        "policy", "set", "Y90001", "disclaimer=service", "text.card-number=service", "--reason", "over", "--apply"
    )
    assert again.returncode == 0, again.stderr


def test_patient_details_do_not_leave_readable_by_strangers(out: Out) -> None:
    to = "j.porter@gmail.example"
    out.knows(to)
    secret = "Your potassium was 5.4"
    reference = out.send("Your result", to, text=f"NHS number {NHS}. {secret}.")
    await_true(lambda: len(out.world.arrived_for(to)) == 2, "no notice came")
    [notice] = [one for one in out.world.arrived_for(to) if one not in out.world.arrived("How are you")]
    read = message_from_bytes(notice.raw, policy=policy.default).as_bytes()
    for word in (NHS, secret, "Your result", "potassium"):
        assert word.encode() not in notice.raw + read
        assert word.encode() not in out.world.wire
    assert f"localhost:{out.service.ports['portal']}/".encode() in notice.raw
    await_true(lambda: out.became(reference) == {to: "noticed"}, "its sender is not told")


def test_who_was_never_written_to_is_asked_about_before_patient_details_go(out: Out) -> None:
    to = "somebody.new@gmail.example"
    reference = out.send("Results", to, text=f"NHS number {NHS}.")
    asked = out.await_letter("ann.lee", "Not sent yet: Results")
    assert "Written to for the first time" in asked.get_content()
    assert "/outgoing/" in asked.get_content()
    story = out.service.run("why", reference).stdout
    assert "It waits for its sender's answers." in story
    assert to in story
    assert out.world.arrived_for(to) == []


def test_forty_five_people_in_to_are_not_sent_as_one(out: Out) -> None:
    many = [f"patient{number}@gmail.example" for number in range(45)]
    reference = out.send("Flu clinic", *many)
    asked = out.await_letter("ann.lee", "Not sent yet: Flu clinic")
    assert "would see each other" in asked.get_content()
    assert "a message of their own" in asked.get_content()
    out.send("After the clinic", many[0])
    out.await_outside("After the clinic")
    assert out.world.arrived("Flu clinic") == []
    story = out.service.run("why", reference).stdout
    assert all(one in story for one in many), "each of them is accounted for"


def test_every_recipient_is_accounted_for(out: Out) -> None:
    to = {
        JO: "delivered",
        f"lab@{TRUST}": "relayed",
        "nobody@closed-clinic.example": "failed",
        "x@busy-clinic.example": "queued",
    }
    reference = out.send("To all kinds", *to)
    await_true(lambda: set(out.became(reference).values()) == set(to.values()), "not all of them came to their end")
    assert out.became(reference) == to
    story = out.service.run("why", reference).stdout
    assert all(f"{address}: " in story for address in to)
    for address in (JO, "x@busy-clinic.example"):
        found = out.service.run("trace", "--recipient", address, "--json").stdout
        assert reference in {json.loads(line)["reference"] for line in found.splitlines()}
    failed = out.await_letter("ann.lee", "Not delivered: To all kinds")
    assert "nobody@closed-clinic.example" in str(failed)
    listed = [json.loads(line) for line in out.service.run("queue", "list", "--json").stdout.splitlines()]
    [waits] = [one for one in listed if one["reference"] == reference]
    assert (waits["state"], waits["reason"], waits["waiting"]) == ("told to come later", "451 4.3.2", "1 of 3")
    assert "busy-clinic" not in json.dumps(listed)
    done = out.service.run("queue", "expire", str(waits["number"]), "--reason", "they have closed")
    assert done.stdout == "Given up for 1 recipients.\n", done.stderr
    assert out.became(reference) == to | {"x@busy-clinic.example": "expired"}
    assert out.service.run("queue", "expire", str(waits["number"]), "--reason", "again").returncode == 1


def test_a_shared_mailbox_answers_a_stranger_once_and_sends_a_copy_on_where_it_may(out: Out) -> None:
    clinic, pat = "clinic@willow.example", "pat@patients.example"
    words = out.service.home / "reply.txt"
    words.write_text("Thank you. We read this on working days.")
    texts = ("--outside", str(words), "--to-outside", "--subject", "We have your message", "--on")
    done = out.service.run("mailbox", "autoreply", clinic, *texts, "--telephone", "01632 960123")
    assert done.returncode == 0, done.stderr

    def write(subject: str) -> None:
        """Until it has been dealt with."""
        raw = message(subject, sender=pat).replace(b"somebody@willow.example", clinic.encode())
        out.service.deliver(raw, clinic, sender=pat)
        await_true(lambda: out.service.count("SELECT count(*) FROM arrival") == 0, "nobody looked at what arrived")

    write("My hip")
    out.await_outside("We have your message")
    [answer] = out.world.arrived("We have your message")
    assert b"If it is urgent, call 01632 960123." in answer.raw
    assert b"Auto-Submitted: auto-replied" in answer.raw
    assert b"DKIM-Signature: " in answer.raw
    assert b"My hip" not in answer.raw
    to = f"desk@{TRUST}"
    asked = out.service.run("mailbox", "forward", "ask", clinic, to, "--reason", "one desk for two houses")
    number = asked.stdout.split("number ")[1].partition(".")[0]
    assert out.service.run("mailbox", "forward", "allow", clinic, number).returncode == 0
    write("My knee")
    await_true(lambda: bool(out.world.arrived_for(to)), "the copy did not arrive")
    [copy] = out.world.arrived_for(to)
    assert b"Subject: My knee" in copy.raw
    assert f"Delivered-To: {clinic}".encode() in copy.raw
    assert len(out.world.arrived("We have your message")) == 1, "the second within the day is not answered"


# In Thunderbird itself: trust our authority, make an account that sends by 587, write a letter, send it.
SEND = """
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const [authority, user, password, port, to, subject, text, done] = arguments;
(async () => {
    Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(authority, "C,,");
    const server = MailServices.outgoingServer.createServer("smtp");
    const smtp = server.QueryInterface(Ci.nsISmtpServer);
    smtp.hostname = "localhost";
    smtp.port = port;
    server.socketType = Ci.nsMsgSocketType.alwaysSTARTTLS;
    server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
    server.username = user;
    server.password = password;
    const identity = MailServices.accounts.createIdentity();
    identity.email = user;
    identity.smtpServerKey = server.key;
    identity.doFcc = false;
    const account = MailServices.accounts.createAccount();
    account.addIdentity(identity);
    account.incomingServer = MailServices.accounts.createIncomingServer("nobody", "Local Folders", "none");
    const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
    Object.assign(fields, {from: user, to, subject, body: text});
    const sends = Cc["@mozilla.org/messengercompose/send;1"].createInstance(Ci.nsIMsgSend);
    return await new Promise((resolve, reject) => {
        const listener = {
            QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener"]),
            onStartSending() {}, onProgress() {}, onStatus() {}, onGetDraftFolderURI() {}, onSendNotPerformed() {},
            onTransportSecurityError(id, status) { reject("TLS " + status.toString(16)); },
            onStopSending(id, status) { status == 0 ? resolve("sent") : reject("status " + status.toString(16)); },
        };
        sends.createAndSendMessage(null, identity, account.key, fields, false, false, Ci.nsIMsgSend.nsMsgDeliverNow,
            null, "text/plain", text, null, null, listener, password, "", Ci.nsIMsgCompType.New);
    });
})().then((told) => done(told), (error) => done({error: String(error) + " " + (error.stack || "")}));
"""


@pytest.mark.peer
def test_thunderbird_sends_and_patient_details_go_by_link(out: Out, thunderbird: Marionette) -> None:
    account, to = out.service.accounts["ann.lee"], "thunder@gmail.example"
    out.knows(to)
    authority = "".join(out.service.ca_file.read_text().splitlines()[1:-1])
    thunderbird.ask("WebDriver:NewSession", capabilities={})
    thunderbird.ask("Marionette:SetContext", value="chrome")
    thunderbird.ask("WebDriver:SetTimeouts", script=180_000)
    text = f"NHS number {NHS}: written in Thunderbird."
    arguments = [authority, account.address, account.app_password, out.service.ports["submission"]]
    told = thunderbird.ask("WebDriver:ExecuteAsyncScript", script=SEND, args=[*arguments, to, "From Thunderbird", text])
    assert told["value"] == "sent", told
    await_true(lambda: len(out.world.arrived_for(to)) == 2, "no notice came")
    assert out.world.arrived("From Thunderbird") == []
    assert NHS.encode() not in b"".join(one.raw for one in out.world.arrived_for(to))
    assert len(out.letters("ann.lee", "From Thunderbird", "Sent")) == 1


# --- under load -----------------------------------------------------------------------------------------------------


@dataclass
class Writers:
    """Several mail programs that each send one message after another, and note what was acknowledged."""

    out: Out
    clients: int = 3
    acknowledged: list[str] = field(default_factory=list)
    in_doubt: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._write, args=(number,)) for number in range(self.clients)]
        for one in threads:
            one.start()
        try:
            yield
        finally:
            self._stop.set()
            for one in threads:
                one.join(PATIENCE)

    def until_acknowledged(self, number: int) -> None:
        wanted = len(self.acknowledged) + number
        await_true(lambda: len(self.acknowledged) >= wanted, f"{self.acknowledged=}")

    def _write(self, writer: int) -> None:
        number = 0
        while not self._stop.is_set():
            with contextlib.suppress(OSError, smtplib.SMTPException), self.out.smtp(sender="kim.ode") as client:
                while not self._stop.is_set():
                    number += 1
                    self._one(client, f"Load {writer}-{number}")
            time.sleep(0.1)

    def _one(self, client: smtplib.SMTP, subject: str) -> None:
        to = (LOU, f"load@{TRUST}")
        raw = letter(subject, *to, text="Under load.", sender=KIM)
        self.in_doubt.append(subject)
        refused = client.sendmail(KIM, to, raw)
        assert not refused
        self.in_doubt.remove(subject)
        self.acknowledged.append(subject)


def _leases_run_out(service: RunningService) -> None:
    """What a worker had in hand when it was killed is another's after some minutes: they pass. Whoever is at work on
    it just then finds that it is no longer theirs, which must double nothing either."""
    with service.superuser() as connection:
        connection.execute("UPDATE outgoing_due SET claimed_until = now() WHERE claimed_until IS NOT NULL")
        connection.execute("UPDATE delivery_turn SET lease_owner = NULL, lease_until = NULL")


def test_killed_processes_lose_nothing_and_double_nothing_inside(out: Out) -> None:
    load, chance, killed = Writers(out), random.Random(20261122), Counter[str]()
    with load.running():
        load.until_acknowledged(5)
        seconds, began = 600 if LONG else 8, time.monotonic()
        # For so long at least; on a slow machine until some of each have died.
        while (past := time.monotonic() - began) < seconds or (
            past < 20 * seconds and (killed["worker"] < 2 or not killed["access"])
        ):
            role = chance.choice(["worker", "worker", "access"])
            for pid in out.service.workers(role)[:1]:
                os.kill(pid, signal.SIGKILL)
                killed[role] += 1
            time.sleep(chance.uniform(0.2, 1.5))
        out.service.await_ready()
        load.until_acknowledged(5)
    acknowledged = set(load.acknowledged)

    def inside() -> Counter[str]:
        return Counter(
            str(message_from_bytes(raw, policy=policy.default)["Subject"])
            for raw in out.service.read("lou.fry")
            if b"Subject: Load" in raw
        )

    def outside() -> set[str]:
        return {
            subject
            for one in list(out.world.letterbox.messages)
            for subject in re.findall(r"Load \d+-\d+", one.raw.decode())
        }

    def all_there() -> bool:
        _leases_run_out(out.service)
        return acknowledged <= inside().keys() and acknowledged <= outside()

    await_true(all_there, "lost", pause=2)
    found = inside()
    print(f"killed {dict(killed)}; {len(acknowledged)} acknowledged, {len(load.in_doubt)} in doubt")
    assert [subject for subject, times in found.items() if times > 1] == []
    assert found.keys() <= acknowledged | set(load.in_doubt)
    assert outside() <= acknowledged | set(load.in_doubt)
    assert killed["worker"] > 1
    assert killed["access"] >= 1
