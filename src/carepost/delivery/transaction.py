"""One message to some recipients, in a conversation that is as protected as it must be. RFC 5321 §3.3.

Promises
    Each recipient is answered by what the host said about him: to his RCPT, or to the message.
    Nothing that the host does not offer is asked of it: a message that needs it goes back with the reason.
    The content is sent only where at least one recipient was accepted.
"""

from collections.abc import Sequence

from carepost.base.clock import Clock
from carepost.delivery.attempt import Attempt, Hop
from carepost.delivery.conversation import Conversation, Deadlines, Lost, RefusedEarly
from carepost.delivery.tls_policy import DaneState
from carepost.wire.smtp_client_commands import CannotBeSaid, Data, LastChunk, MailFrom, RcptTo, Reset
from carepost.wire.smtp_client_content import counted, dotted, has_utf8_headers, is_eight_bit
from carepost.wire.smtp_client_replies import PeerReply

_TLS_FIRST = 530  # RFC 3207 §4


async def transact(
    attempt: Attempt,
    hop: Hop,
    conversation: Conversation,
    *,
    group: Sequence[int],
    deadlines: Deadlines,
    clock: Clock,
    chunking: bool,
) -> bool:
    """MAIL to the end of the content. Whether the conversation can go on. Raises Lost."""
    if not _can_be_asked(attempt, hop, conversation):
        return False
    try:
        commands = _envelope(attempt, conversation, group)
        replies = await conversation.ask_all(commands, seconds=deadlines.mail + deadlines.recipient)
    except CannotBeSaid as error:
        attempt.never(f"Its envelope cannot be written in SMTP: {error}.", status="5.1.3", only=group)
        return True
    accepted = _accepted(attempt, hop, group, replies)
    if not accepted:
        await conversation.ask(Reset(), seconds=deadlines.mail)
        return True
    attempt.in_flight = accepted
    try:
        reply = await _content(attempt, conversation, deadlines, chunking=chunking)
        goes_on = True
    except RefusedEarly as refused:
        reply, goes_on = refused.reply, False
    attempt.in_flight = ()
    attempt.evidence = hop.evidence(clock.now(), reply.text)
    if reply.is_yes:
        attempt.taken(accepted, hop, reply, dsn_passed_on="DSN" in conversation.offers)
    else:
        attempt.answered_no(accepted, hop, reply)
    return goes_on


def _can_be_asked(attempt: Attempt, hop: Hop, conversation: Conversation) -> bool:
    """Whether this host takes messages like this one; where it never will, the recipients know afterwards."""
    offers, envelope, raw = conversation.offers, attempt.envelope, attempt.raw
    where = f"The mail system of {attempt.domain}"
    if envelope.require_tls and not ("REQUIRETLS" in offers and conversation.in_tls and _is_proved(hop)):
        attempt.without_require_tls(hop)
        return False
    if offers.size_max is not None and len(raw) > offers.size_max:
        most = offers.size_max // 1_000_000
        attempt.never(f"{where} takes messages of at most {most} MB, and this one is larger.", status="5.3.4")
    elif envelope.smtputf8 and "SMTPUTF8" not in offers:
        attempt.never(f"{where} does not take addresses with letters beyond ASCII.", status="5.6.7")
    elif is_eight_bit(raw) and "8BITMIME" not in offers:
        # RFC 6152 §3. To turn it into 7 bits here would break its signatures.
        attempt.never(f"{where} does not take messages with letters beyond ASCII in their text.", status="5.6.3")
    return bool(attempt.pending)


def _is_proved(hop: Hop) -> bool:
    """RFC 8689 §4.2.1: that this is a host of the domain must be proved too, by DNSSEC or by MTA-STS."""
    host = hop.proof_of_host
    return host.dane is DaneState.USABLE or host.host.proved or hop.proof.sts.names(hop.host)


def _envelope(attempt: Attempt, conversation: Conversation, group: Sequence[int]) -> list[MailFrom | RcptTo]:
    envelope, raw, offers = attempt.envelope, attempt.raw, conversation.offers
    utf8 = envelope.smtputf8 or ("SMTPUTF8" in offers and has_utf8_headers(raw))
    mail = MailFrom(
        reverse_path=envelope.reverse_path,
        size=len(raw),
        eight_bit=is_eight_bit(raw) and "8BITMIME" in offers,
        smtputf8=utf8,
        require_tls=envelope.require_tls,
        ret=envelope.ret,
        envid=envelope.envid,
    )
    recipients = [envelope.recipients[number] for number in group]
    return [
        mail,
        *(RcptTo(address=one.address, notify=one.notify, original=one.original, smtputf8=utf8) for one in recipients),
    ]


def _accepted(attempt: Attempt, hop: Hop, group: Sequence[int], replies: Sequence[PeerReply]) -> list[int]:
    """Those whose RCPT was accepted; the others have their result."""
    mail, *each = replies
    if not mail.is_yes:
        if mail.code == _TLS_FIRST and hop.tls is None:
            attempt.wants_tls_first(group, hop, mail)
        else:
            attempt.answered_no(group, hop, mail)
        return []
    for number, reply in zip(group, each, strict=True):
        if not reply.is_yes:
            attempt.answered_no([number], hop, reply, to_recipient=True)
    return [number for number, reply in zip(group, each, strict=True) if reply.is_yes]


async def _content(attempt: Attempt, conversation: Conversation, deadlines: Deadlines, *, chunking: bool) -> PeerReply:
    raw = attempt.raw
    if chunking and "CHUNKING" in conversation.offers:
        return await conversation.send(counted(raw), before=LastChunk(len(raw)))
    reply = await conversation.ask(Data(), seconds=deadlines.data)
    if reply.is_yes:
        # "Yes" to a message that it has not seen: whatever comes next, nothing was taken.
        raise Lost("it does not speak SMTP: a yes to DATA")
    return await conversation.send(dotted(raw)) if reply.is_go_ahead else reply
