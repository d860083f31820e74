"""Whose name the message bears: one of ours, one on the register of secure domains, or a stranger's. R102, R110, R139.

Domains match whole or by a listed suffix, never by look (that is the check `identity`).
"""

from carepost.gateway.model import Check, Examination, Finding
from carepost.gateway.ports import Register

NAME = "register"


def register(known: Register) -> Check:
    async def look(examination: Examination) -> list[Finding]:
        authors = examination.author_domains()
        own = await known.own_domains()
        findings = [
            _finding("claims-our-domain", 1, f"The message says that it is from {domain}, which is ours.")
            for domain in authors
            if any(domain.is_within(ours) for ours in own)
        ][:1]
        path = examination.envelope.reverse_path
        if not findings and path is not None and any(path.domain.is_within(ours) for ours in own):
            findings.append(_finding("claims-our-domain", 1, f"Its return address is at {path.domain}, which is ours."))
        sure = examination.sure_domain()
        if sure is not None and await known.lists(sure):
            findings.append(_finding("on-register", 0, f"{sure} is on the register of secure domains."))
        return findings

    return Check(NAME, look)


def _finding(code: str, weight: int, says: str) -> Finding:
    return Finding(code=code, weight=weight, says=says, check=NAME)
