"""PURE. What the portal writes by mail: the notice, the code, and what a sender is told.

Promises
    No letter to an outsider holds a subject, a name of a patient, or anything of the content (R117).
    There is one link in a notice, on the portal's own origin, written out so that it can be compared; no picture, no
    attachment, nothing that is fetched. The letter with a code holds no link at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from carepost.base.address import EmailAddress
from carepost.base.ids import new_trace_id
from carepost.message.addresses import Address
from carepost.message.compose import compose


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """Who writes, to whom, when. `writer` is the one fixed address that notices come from."""

    organisation_name: str
    writer: EmailAddress
    to: EmailAddress
    at: datetime
    product: str = "Carepost"


def notice(head: Letterhead, *, link: str, expires_at: datetime, agreed: str = "") -> bytes:
    """Tells of a secure message and nothing of what is in it. `agreed`: what else they will be asked for, in words."""
    name = head.organisation_name
    lines = [
        f"{name} has sent you a secure message.",
        "To read it, open this address in any browser. You do not need an account or an app:",
    ]
    after = [
        "You will be asked to press a button. We then send an 8-digit code to this email address, which proves that "
        "it is you." + (f" You will also be asked for {agreed}." if agreed else ""),
        f"The message can be read until {_day(expires_at)}.",
        (
            "We never ask for the password of your email. If you are not sure that this is genuine, telephone "
            f"{name} on a number that you already have."
        ),
        "Do not answer this email: nobody reads the address it came from. You can answer in the secure message.",
        "The message is not for emergencies. If you need help now, call 111. In an emergency call 999.",
    ]
    return _letter(head, f"A secure message from {name}", lines, link, after)


def invitation(head: Letterhead, *, link: str, expires_at: datetime) -> bytes:
    """Asks somebody outside to write to us."""
    name = head.organisation_name
    lines = [
        f"{name} asks you to write to them by a secure page.",
        "Open this address in any browser. You do not need an account or an app:",
    ]
    after = [
        (
            "You will be asked to press a button. We then send an 8-digit code to this email address, which proves "
            "that it is you. Then you can write, and add files or photographs."
        ),
        f"You can do so until {_day(expires_at)}.",
        (
            "We never ask for the password of your email. If you are not sure that this is genuine, telephone "
            f"{name} on a number that you already have."
        ),
        "This is not for emergencies. If you need help now, call 111. In an emergency call 999.",
    ]
    return _letter(head, f"{name} asks you to write to them", lines, link, after)


def confirmation(head: Letterhead, *, link: str, expires_at: datetime) -> bytes:
    """Asks whether an address is theirs, before anything that matters is sent to it. R130."""
    name = head.organisation_name
    lines = [
        f"{name} wants to be sure that this email address is right, before they write to it.",
        "Open this address in any browser, and say whether this is you. You do not need an account or an app:",
    ]
    after = [
        (
            "You will be asked to press a button. We then send an 8-digit code to this email address, which proves "
            "that it is you. Nothing is sent to you before you have answered."
        ),
        f"You can answer until {_day(expires_at)}.",
        (
            "We never ask for the password of your email. If you are not sure that this is genuine, telephone "
            f"{name} on a number that you already have."
        ),
        "This is not for emergencies. If you need help now, call 111. In an emergency call 999.",
    ]
    return _letter(head, f"{name} asks whether this is your email address", lines, link, after)


def code_letter(head: Letterhead, *, code: str, minutes: int) -> bytes:
    name = head.organisation_name
    spaced = f"{code[:4]} {code[4:]}"
    text = (
        f"Your code is {spaced}\n\n"
        f"Type it into the page of the secure message from {name} that you have just opened. It works once, in that "
        f"browser only, for {minutes} minutes.\n\n"
        "Never read this code out to anybody. Nobody from the organisation will ask you for it.\n\n"
        "If you did not ask for a code, you can delete this email: without it the message stays shut.\n"
    )
    return _compose(head, f"Your code for the secure message from {name}", text, None)


def sender_letter(head: Letterhead, *, subject: str, paragraphs: Sequence[str]) -> bytes:
    """To a mailbox of our own: something that its people should know of a link they sent."""
    return _compose(head, subject, "\n\n".join(paragraphs) + "\n", None)


def _letter(head: Letterhead, subject: str, before: Sequence[str], link: str, after: Sequence[str]) -> bytes:
    text = "\n\n".join([*before, link, *after]) + "\n"
    paragraphs = [f"<p>{escape(one)}</p>" for one in before]
    paragraphs.append(f'<p><a href="{escape(link)}">{escape(link)}</a></p>')
    paragraphs += [f"<p>{escape(one)}</p>" for one in after]
    html = (
        f'<!doctype html><html lang="en-GB"><head><meta charset="utf-8"><title>{escape(subject)}</title></head>'
        f"<body>{''.join(paragraphs)}</body></html>"
    )
    return _compose(head, subject, text, html)


def _compose(head: Letterhead, subject: str, text: str, html: str | None) -> bytes:
    return compose(
        Address(head.organisation_name, str(head.writer)),
        head.to,
        subject,
        text,
        html=html,
        date=head.at,
        message_id=f"{new_trace_id().lower()}@{head.writer.domain}",
        # RFC 3834 §5: nobody's holiday reply shall answer.
        extra_headers=[("Auto-Submitted", "auto-generated")],
    )


def _day(at: datetime) -> str:
    return f"{at.day} {at:%B %Y}"
