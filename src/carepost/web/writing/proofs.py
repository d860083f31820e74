"""PURE. What the sender chooses of the readers of secure links: the levels of the portal, each in a sentence (R118).

Promises
    Only what the organisation's least level allows is offered, and nothing that could not work for these readers.
    Nothing but the code is chosen for the sender: words that nobody has told the reader would lock them out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from carepost.gateway.out.outgoing import Consideration, Route
from carepost.portal.model import Agreed, Level
from carepost.web.forms import Form
from carepost.web.writing.phrases import six_words

_SECRET_MAX = 200


class Proof(StrEnum):
    CODE = "code"
    PHRASE = "phrase"
    BIRTH = "birth"
    TEXT = "text"

    @property
    def level(self) -> Level:
        return {Proof.CODE: Level.MAILBOX, Proof.TEXT: Level.STRONG}.get(self, Level.AGREED)


_WORDS = {
    Proof.CODE: (
        "A code that they get by email",
        "Proves that they read this mailbox. It does not help if the address is wrong, or if somebody else reads it.",
    ),
    Proof.PHRASE: (
        "A code by email, and words that you agree on",
        "Tell them the words by telephone or face to face, never by email. Without the words nobody can open it.",
    ),
    Proof.BIRTH: (
        "A code by email, and their date of birth",
        "Stops a wrong reader who does not know them. For one reader at a time.",
    ),
    Proof.TEXT: (
        "A code by email, and another by text message",
        "To a mobile number that you know is theirs. For one reader at a time.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofLine:
    """One to choose, and what must be typed for it (`value`)."""

    name: str
    words: str
    hint: str
    chosen: bool
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """As the form has it."""

    proof: Proof | None = None
    passphrase: str | None = field(default=None, repr=False)
    agreed: Agreed = Agreed.PHRASE
    telephone: str | None = field(default=None, repr=False)


def chosen(form: Form) -> Chosen:
    """What was chosen. Words that were typed, and not chosen, are chosen: whoever typed them wants them asked for."""
    phrase, birth, telephone = (form.text(name)[:_SECRET_MAX] for name in ("phrase", "birth", "telephone"))
    named = next((one for one in Proof if one.value == form.text("proof")), None)
    if named in {None, Proof.CODE}:
        typed = {
            Proof.PHRASE: phrase != form.text("suggested") and phrase,
            Proof.BIRTH: birth,
            Proof.TEXT: telephone,
        }
        named = next((proof for proof, given in typed.items() if given), named)
    match named:
        case Proof.PHRASE:
            return Chosen(proof=Proof.PHRASE, passphrase=phrase)
        case Proof.BIRTH:
            return Chosen(proof=Proof.BIRTH, passphrase=birth, agreed=Agreed.BIRTH)
        case Proof.TEXT:
            return Chosen(proof=Proof.TEXT, telephone=telephone)
        case other:
            return Chosen(proof=other)


def proof_lines(consideration: Consideration, form: Form, *, texts: bool) -> tuple[ProofLine, ...]:
    """What may be chosen; empty when nobody gets a link."""
    links = sum(1 for one in consideration.routes if one.route is Route.PORTAL)
    if not links:
        return ()
    now, order = chosen(form).proof or Proof.CODE, list(Level)
    typed = {
        Proof.PHRASE: form.text("phrase") or form.text("suggested") or six_words(),
        Proof.BIRTH: form.text("birth"),
        Proof.TEXT: form.text("telephone"),
    }
    found: list[ProofLine] = []
    for proof, (words, hint) in _WORDS.items():
        too_weak = order.index(proof.level) < order.index(consideration.least)
        not_here = (proof is Proof.TEXT and not texts) or (links > 1 and proof in {Proof.BIRTH, Proof.TEXT})
        if not (too_weak or not_here):
            value = typed.get(proof, "")
            found.append(ProofLine(name=proof.value, words=words, hint=hint, chosen=proof is now, value=value))
    return tuple(found)


def least_words(consideration: Consideration, lines: Sequence[ProofLine]) -> str:
    """Why the weakest is not offered; empty when it is."""
    if not lines or consideration.least is Level.MAILBOX:
        return ""
    return "Your organisation wants more than a code by email from whoever reads a patient's details by a link."
