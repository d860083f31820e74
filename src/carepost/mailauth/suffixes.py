"""Where an organisation's names begin: the Public Suffix List.

Promises
    `nhs.uk` is a public suffix: two trusts below it are two organisations, and neither may speak for the other. The
    list has no such entry for `scot.nhs.uk`, `nhs.scot` or `nhs.wales`: to DMARC, each of those is one organisation.
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
