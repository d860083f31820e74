"""Where an organisation's names begin: the Public Suffix List.

Promises
    `nhs.uk`, `nhs.scot` and their like are public suffixes: two trusts below one are two organisations, and neither may
    speak for the other.
    The list is read once, at the first question, never at import.
"""

from functools import cache

from publicsuffixlist import PublicSuffixList


@cache
def _list() -> PublicSuffixList:
    return PublicSuffixList()


def organisational_domain(domain: str) -> str | None:
    """The domain that was registered: `x.trust.nhs.uk` gives `trust.nhs.uk`. None for a public suffix itself.

    RFC 7489 §3.2. The private part of the list counts: two customers of one hoster are two organisations.
    """
    found = _list().privatesuffix(domain.lower())
    return str(found) if found else None
