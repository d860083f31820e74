"""A practice's morning: people, shared mailboxes, and the letters that came in. Invented, all of it."""

import base64
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage

from tests.fakes.gateway import connection
from tests.fakes.gateway_world import OPERATOR
from tests.fakes.web_world import WebWorld

from carepost.base.address import EmailAddress
from carepost.base.ids import new_trace_id
from carepost.directory.model import MailboxRecord, OrganisationKind, Role
from carepost.gateway.model import Envelope, Recipient
from carepost.protocols.smtp.trace_fields import Hop, trace_fields

ADA, ZOE, BEA = "Ada Okafor", "Zoe Marsh", "Bea Lund"
TRUST, OUTSIDE, STRANGER = "192.0.2.10", "192.0.2.50", "192.0.2.66"

DISCHARGE = """Dear Ada,

Please find attached the discharge summary for your patient. She went home yesterday on apixaban 5 mg twice a day. \
We would be grateful if the practice could repeat U&Es and FBC within seven days and review the wound at her next \
nurse appointment.

Her potassium was 5.4 mmol/L at discharge, so please do not leave it longer than the week.

Kind regards,
Sam Mbeki
Ward 7B, St Jude's
"""

LAID_OUT = """<div style="font-family:Arial;color:#222"><table width="100%" cellpadding="12" bgcolor="#e7f0ee"><tr><td>
<h2 style="color:#0b4a4f">Winter capacity returns</h2><p>The weekly return closes on <b>Friday at noon</b>.</p>
<p><a href="https://returns.trust.example/week/48">Open the return</a></p>
<p>Or go to <a href="https://evil.example/steal">https://returns.trust.example</a></p>
<img src="https://evil.example/pixel.gif" alt="Trust logo" width="1"><script>window.__xss = 1</script></td></tr></table></div>"""

# Subject, who, words, minutes ago, address it came from, sender domain's network
LETTERS = [
    ("Fridge temperature log", "Tomasz Nowak <tomasz@trust.example>", "All in range this week.", 4000, TRUST),
    (
        "Case conference: invitation",
        "Safeguarding team <safeguarding@trust.example>",
        "You are invited to a meeting on 27 November at 10.",
        3000,
        TRUST,
    ),
    (
        "Smear recall list",
        "Grace Adeyemi <grace@trust.example>",
        "Attached is the list for December, 41 names. Please check before we send.",
        1700,
        TRUST,
    ),
    (
        "Query on repeat for apixaban",
        "Northside Pharmacy <rx@trust.example>",
        "The script says 5 mg but the last issue was 2.5 mg twice daily. Which is right?",
        120,
        TRUST,
    ),
    (
        "Re: your appointment",
        "Jo Porter <jo.porter@webmail.example>",
        "Thank you for the message, I could open it on my phone. May I come on Tuesday instead?",
        90,
        OUTSIDE,
    ),
    (
        "Locum cover next week",
        "Priya Shah <priya@trust.example>",
        "Hi both, Dr Lund can do Tuesday and Wednesday but not the Thursday clinic.",
        40,
        TRUST,
    ),
]


def written(subject: str, sender: str, text: str, *, to: str = "ada.okafor@riverside.example") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Message-ID"] = f"<{abs(hash(subject)) % 10**9}@{sender.rpartition('@')[2].rstrip('>')}>"
    message["Date"] = "Sun, 22 Nov 2026 08:00:00 +0000"
    message.set_content(text)
    return message


async def fill_town(world: WebWorld) -> None:
    practice = await world.organisations.create(
        OPERATOR, code="A81001", name="Riverside Medical Practice", kind=OrganisationKind.PRACTICE
    )
    ada = await world.web_person(practice, ADA)
    zoe = await world.web_person(practice, ZOE, Role.LOCAL_ADMINISTRATOR)
    bea = await world.web_person(practice, BEA)
    await world.web_person(practice, "Nia Newcomer", accepts=False)
    results = await world.shared(practice, "Riverside results", ada, zoe, members=[bea])
    await world.shared(practice, "Prescriptions", ada, zoe)
    start = world.clock.at
    for subject, sender, text, minutes, address in LETTERS:
        world.clock.at = start - timedelta(minutes=minutes)
        await _arrives(world, written(subject, sender, text), ada.mailbox, address)
    world.clock.at = start - timedelta(minutes=30)
    laid_out = written(
        "Winter capacity returns due Friday",
        "ICB Primary Care <returns@trust.example>",
        "The weekly return closes on Friday at noon.",
    )
    laid_out.add_alternative(LAID_OUT, subtype="html")
    await _arrives(world, laid_out, ada.mailbox, TRUST)
    for number in range(3):
        world.clock.at = start - timedelta(minutes=200 + number)
        await _arrives(
            world,
            written(
                f"Result {4410 + number} to file",
                "Lab reports <lab@trust.example>",
                "Full blood count attached to the record.",
                to="riverside.results@riverside.example",
            ),
            results,
            TRUST,
        )
    world.clock.at = start - timedelta(minutes=15)
    # Two of them are held: one journey releases one, and the other must still be there for the others.
    for _ in range(2):
        await _arrives(
            world,
            written("Urgent: your account", "County Bank <alerts@bank.example>", "Please confirm your details today."),
            ada.mailbox,
            STRANGER,
        )
    world.clock.at = start
    discharge = written(
        "Discharge summary: follow-up bloods needed within 7 days", "Sam Mbeki <sam.mbeki@trust.example>", DISCHARGE
    )
    discharge.add_attachment(_pdf(), maintype="application", subtype="pdf", filename="Discharge summary.pdf")
    discharge.add_attachment(
        b"test,value\r\npotassium,5.4\r\n", maintype="text", subtype="csv", filename="Bloods 21 Nov.csv"
    )
    await _arrives(world, discharge, ada.mailbox, TRUST)


async def _arrives(world: WebWorld, message: EmailMessage, mailbox: MailboxRecord, address: str) -> None:
    """Through the whole inbound walk, with the trace fields that port 25 writes."""
    raw = message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    here = connection(client=address)
    envelope = Envelope(
        trace=new_trace_id(),
        reverse_path=EmailAddress.parse(str(message["From"]).rpartition("<")[2].rstrip(">")),
        recipients=(Recipient(address=mailbox.address, mailbox=mailbox.id, organisation=mailbox.organisation),),
    )
    hop = Hop(
        trace=envelope.trace,
        reverse_path=envelope.reverse_path,
        recipients=envelope.recipients,
        smtputf8=False,
        extended=True,
        at=world.clock.now(),
    )
    await world.inbound.receive(here, replace(envelope, received=trace_fields(here, hop)), raw)


def _pdf() -> bytes:
    return b"%PDF-1.4\n" + base64.b64encode(bytes(range(256)) * 200) + b"\n%%EOF\n"
