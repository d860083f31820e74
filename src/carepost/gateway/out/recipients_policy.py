"""The numbers behind the questions about recipients, each with its reason. PURE."""

from dataclasses import dataclass

from carepost.base.address import Domain

# Where people have private mail: the big providers of this country.
FREE_MAIL = frozenset(
    Domain(name)
    for name in (
        "aol.com",
        "btinternet.com",
        "gmail.com",
        "googlemail.com",
        "hotmail.co.uk",
        "hotmail.com",
        "icloud.com",
        "live.co.uk",
        "live.com",
        "mail.com",
        "me.com",
        "msn.com",
        "outlook.com",
        "proton.me",
        "protonmail.com",
        "sky.com",
        "talktalk.net",
        "virginmedia.com",
        "yahoo.co.uk",
        "yahoo.com",
        # RFC 2606: the demo's and the documentation's.
        "freemail.example",
        "gmail.example",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientsPolicy:
    # Written to (or had mail from) so often, an address is no stranger. Measured: docs/explain/recipients.md.
    familiar_times: int = 2
    # Written to so often, somebody is the one that the sender "usually" writes to.
    well_known_times: int = 3
    # Written to so often, somebody stands at the top of the list that opens while one types.
    often_times: int = 5
    # Two were written to together so often, they are usual company; in messages to at most so many.
    company_times: int = 3
    company_max: int = 10
    # R151: above so many outsiders in To and Cc the sender chooses Bcc, one message each, or gives a reason.
    outsiders_max: int = 5
    # ... and from so many on a reason is not enough.
    outsiders_stop: int = 50
    # R149: more organisations outside than this in one message are asked about.
    domains_max: int = 4
    # R72.
    reply_all_max: int = 20
    # Shorter local parts differ by a letter too easily ("jo", "joe"): they are not compared.
    compared_from: int = 5
    # From this length on two letters may differ.
    two_edits_from: int = 9
    free_mail: frozenset[Domain] = FREE_MAIL
