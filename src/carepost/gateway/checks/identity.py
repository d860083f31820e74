"""Who looks like somebody else: a colleague's name on a stranger's address, a domain one letter away. R140, M8.

Promises
    Compares; never decides who is right. Our own people's addresses and the domains we know are never look-alikes.
"""

import re
from collections.abc import Iterable

from carepost.base.address import Domain
from carepost.gateway.model import Check, Examination, Finding
from carepost.gateway.ports import Colleagues, Register
from carepost.message.addresses import Address, name_lies
from carepost.message.lookalikes import looks_like, normal_name

NAME = "identity"


def identity(known: Register, colleagues: Colleagues) -> Check:
    async def look(examination: Examination) -> list[Finding]:
        own = await known.own_domains()
        organisations = frozenset(recipient.organisation for recipient in examination.envelope.recipients)
        findings = []
        for author in list(examination.message.authors())[:3]:
            ours = any(domain.is_within(mine) for domain in examination.author_domains() for mine in own)
            if name_lies(author):
                findings.append(_finding("name-lies", 2, "The sender's name is made to look like something else."))
            name = normal_name(author.name)
            if not ours and name and await colleagues.is_somebody(name, organisations):
                says = f"The sender calls itself “{author.name[:80]}”, as a colleague does, and writes from elsewhere."
                findings.append(_finding("colleague-lookalike", 2, says))
            if named := _address_in_name(author, own):
                findings.append(
                    _finding("colleague-lookalike", 2, f"The sender's name holds one of our addresses: {named}.")
                )
        others = await known.known_domains()
        return findings + [
            _finding("domain-lookalike", 2, f"{domain} looks like {like} and is not.")
            for domain in examination.author_domains()
            if (like := looks_like(domain, others))
        ]

    return Check(NAME, look)


def _address_in_name(author: Address, own: Iterable[Domain]) -> str | None:
    for word in re.findall(r"[\w.+-]+@[\w.-]+", author.name)[:5]:
        domain = word.rpartition("@")[2].lower().rstrip(".")
        if any(domain == mine.name for mine in own) and domain != author.domain.lower():
            return str(word)
    return None


def _finding(code: str, weight: int, says: str) -> Finding:
    return Finding(code=code, weight=weight, says=says, check=NAME)
