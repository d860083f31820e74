"""Two questions that no card asks, because they are about the links a message becomes: words to agree on, and guidance.

Promises
    Where the organisation wants more than a code by email for patients' details, nothing waits silently for a phrase
    that nobody gave: its sender is asked before it leaves (ADR-0017).
    Guidance is shown to a person once, before their first secure link (R115), on the page where they write.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.ids import OrganisationId, PersonId
from carepost.gateway.disclosure import sensitivity_of
from carepost.gateway.model import Finding
from carepost.gateway.out.decide import Ruling
from carepost.gateway.out.outgoing import Answer, Choice, OutDoor, Question, Route, Submission
from carepost.gateway.out.proof import level_of
from carepost.infra.db import Transaction
from carepost.policy.outbound import Sensitivity
from carepost.policy.rules import Chosen, OutgoingRules, ServiceRules, in_force
from carepost.portal.model import Level

GUIDANCE, AGREE = "link-guidance", "agree-on-words"
VERSION = "1"


class LooksUpRules(Protocol):
    """`RulesKeeping`. Raises TryLater when it cannot look."""

    async def of(self, organisation: OrganisationId) -> OutgoingRules: ...

    async def must_read(self, organisation: OrganisationId, person: PersonId) -> str:
        """The guidance that this person has not read yet; empty when there is none."""
        ...

    async def note_read(self, tx: Transaction, actor: Actor, organisation: OrganisationId) -> None: ...


@dataclass(frozen=True, slots=True)
class ServiceRulesOnly:
    """Where no organisation has rules of its own: the service's hold, which nobody may be laxer than."""

    service: ServiceRules = field(default_factory=ServiceRules)

    async def of(self, organisation: OrganisationId) -> OutgoingRules:  # noqa: ARG002
        return in_force(Chosen(), self.service)

    async def must_read(self, organisation: OrganisationId, person: PersonId) -> str:  # noqa: ARG002
        return ""

    async def note_read(self, tx: Transaction, actor: Actor, organisation: OrganisationId) -> None:
        """There is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutLinks:
    """What is asked when some recipients get a link."""

    rules: LooksUpRules

    async def ask(
        self, ruling: Ruling, submission: Submission, rules: OutgoingRules, findings: Sequence[Finding]
    ) -> Ruling:
        """The ruling with what is asked about its links."""
        linked = tuple(one.address for one in ruling.routes if one.route is Route.PORTAL)
        if not linked:
            return ruling
        others = len(linked) < len(ruling.routes)
        asked = []
        if needs_words(rules, findings) and level_of(submission) is Level.MAILBOX:
            choices = (Choice.LEAVE_OUT,) if others else ()
            asked.append(_words(rules, choices, linked))
        # A mail program's message is not kept waiting for a text that its sender may read at leisure.
        if submission.door is OutDoor.WEB and submission.person is not None:
            guidance = await self.rules.must_read(submission.organisation, submission.person)
            if guidance:
                asked.append(_guidance(rules, guidance, linked))
        for question in asked:
            ruling = _with(ruling, question, submission.answers)
        return ruling


def needs_words(rules: OutgoingRules, findings: Sequence[Finding]) -> bool:
    """Whether a link of this message asks its reader for more than a code by email. Not known counts as patients'."""
    return rules.portal_level != "L1" and sensitivity_of(findings) in {None, Sensitivity.PATIENT}


def _with(ruling: Ruling, question: Question, answers: Sequence[Answer]) -> Ruling:
    answer = question.is_answered_by(answers)
    if answer is None:
        return replace(ruling, questions=(*ruling.questions, question))
    routes = ruling.routes
    if answer.choice is Choice.LEAVE_OUT:
        out = {one.key for one in question.recipients}
        routes = tuple(one for one in routes if one.address.key not in out)
    return replace(ruling, routes=routes, answered=(*ruling.answered, (question, answer)))


def _words(rules: OutgoingRules, choices: tuple[Choice, ...], linked: tuple[EmailAddress, ...]) -> Question:
    who = rules.organisation_name or "Your organisation"
    return Question(
        card=AGREE,
        version=VERSION,
        title="Agree on some words with whoever reads it",
        sentence="When patients' details go by a secure link: ask the reader for words that were agreed by voice.",
        because="Telephone them, agree on some words, and enter these where you write the message. Then send it again.",
        says=(f"{who} wants more than a code by email from whoever reads patients' details by a link.",),
        choices=choices,
        recipients=linked,
    )


def _guidance(rules: OutgoingRules, guidance: str, linked: tuple[EmailAddress, ...]) -> Question:
    who = rules.organisation_name or "Your organisation"
    return Question(
        card=GUIDANCE,
        version=VERSION,
        title=f"{who} on secure links",
        sentence="When somebody sends their first secure link: show them their organisation's guidance, once.",
        because="This is shown once. Confirm that you have read it, and your message goes.",
        says=tuple(line for line in guidance.splitlines() if line.strip()),
        choices=(Choice.CONFIRM,),
        recipients=linked,
    )


def guidance_read(answered: Sequence[tuple[Question, Answer]]) -> bool:
    """Whether the sender has just confirmed that they read it."""
    return any(question.card == GUIDANCE for question, _ in answered)
