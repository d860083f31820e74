"""Signals that a message is after something: small observations, each with a sentence and two weights. PURE.

Promises
    Only what the message says and shows is looked at; no list of senders, no reputation, no network.
    Every point that counts can be told to a person in a sentence.

Points add up in the check `content`, which turns them into at most two findings. The weights were set on one half
of the public corpora and measured on the other; docs/performance.md has the figures.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from carepost.gateway import places
from carepost.gateway.reading import Reading, folded, site_of


@dataclass(frozen=True, slots=True)
class Signal:
    """`phishing` and `spam` are points."""

    name: str
    says: str
    phishing: int
    spam: int
    holds: Callable[[Reading], bool]


def signals_of(reading: Reading) -> Iterator[Signal]:
    return (signal for signal in SIGNALS if signal.holds(reading))


def _says(group: str) -> Callable[[Reading], bool]:
    return lambda reading: group in reading.groups


def _brand(reading: Reading) -> str | None:
    """A name that many know, in the sender's name or the subject, from a domain that is not theirs."""
    if not reading.author_domain and not reading.author_name:
        return None
    claimed = folded(f"{reading.author_name}\n{reading.subject}")
    found = places.BRANDS.search(claimed)
    if found is None:
        return None
    core = re.sub(r"[^a-z0-9]", "", found[0])[:5]
    return None if core in reading.author_domain.replace("-", "").replace(".", "") else found[0]


def _links_elsewhere(reading: Reading) -> bool:
    return bool(reading.links) and all(link.site != reading.author_site for link in reading.links)


def _shows_another_address(reading: Reading) -> bool:
    """A link whose text is one address and which leads to another."""
    for link in reading.links:
        shown = _SHOWN_HOST.match(link.text)
        if shown and site_of(shown[1]) != link.site and "." in shown[1]:
            return True
    return False


def _is_number(host: str) -> bool:
    return re.fullmatch(r"[0-9.]+|0x[0-9a-f]+|[0-9]+|\[.*\]", host) is not None


def _odd_letters(text: str) -> bool:
    """Letters of mathematics, circles or full width where ordinary ones belong."""
    odd = sum(
        1
        for letter in text
        if ord(letter) > 0x2000 and unicodedata.normalize("NFKC", letter).isascii() and letter.isalnum()
    )
    return odd >= 3


def _mixed_scripts(text: str) -> bool:
    """One word with Latin and Cyrillic or Greek letters."""
    return any(_LATIN.search(word) and _LOOKALIKE.search(word) for word in text.split()[:400])


_SHOWN_HOST = re.compile(r"^(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?:/\S*)?$")
_LATIN, _LOOKALIKE = re.compile(r"[a-zA-Z]"), re.compile("[\u0370-\u03ff\u0400-\u04ff]")
_SYMBOL = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")
_UNSEEN = ("display:none", "display: none", "font-size:0", "font-size: 0", "font-size:1px", "font-size: 1px")
_FORM = ("<form", 'type="password"', "type=password")
_RANDOM_LABEL = re.compile(r"(?:[bcdfghjklmnpqrstvwxz]{5,}|[a-z]*\d[a-z]+\d[a-z]*\d|(?:^|\.)(?:[a-z]\.){3,})")


def _local_is_random(reading: Reading) -> bool:
    return bool(_RANDOM_LABEL.search(reading.author_domain.rpartition(".")[0]))


def _addressed_by_address(reading: Reading) -> bool:
    """The reader's own address stands in the subject: machines write so."""
    subject = reading.subject.lower()
    return any(address and address in subject for address in reading.addressees)


def _mostly_a_picture(reading: Reading) -> bool:
    return bool(reading.images) and bool(reading.links) and reading.words < 60


def _few_words_few_places(reading: Reading) -> bool:
    return 1 <= len({link.site for link in reading.links}) <= 2 and reading.words < 120 and _links_elsewhere(reading)


def _hosted(pattern: re.Pattern[str]) -> Callable[[Reading], bool]:
    return lambda reading: any(pattern.search(link.host) for link in reading.links)


def _hosted_picture(reading: Reading) -> bool:
    return any(places.PICTURE_HOSTS.search(host) for host in reading.images)


def _free_with_brand(reading: Reading) -> bool:
    return _brand(reading) is not None and places.FREE_MAIL.search(reading.author_domain) is not None


def _sender_has(pattern: re.Pattern[str]) -> Callable[[Reading], bool]:
    return lambda reading: pattern.search(reading.author_domain) is not None


def _page_has(marks: Sequence[str]) -> Callable[[Reading], bool]:
    return lambda reading: any(mark in reading.page for mark in marks)


def _head_has(test: Callable[[str], bool]) -> Callable[[Reading], bool]:
    """Of the subject and the sender's name."""
    return lambda reading: test(f"{reading.subject} {reading.author_name}")


def _names_brand(reading: Reading) -> bool:
    return _brand(reading) is not None


def _leads_to_number(reading: Reading) -> bool:
    return any(_is_number(link.host) for link in reading.links)


def _replies_elsewhere(reading: Reading) -> bool:
    return bool(reading.reply_site) and reading.reply_site != reading.author_site


def _is_page_only(reading: Reading) -> bool:
    return bool(reading.page) and not reading.has_plain


def _has_symbols(text: str) -> bool:
    return _SYMBOL.search(text) is not None


def _fortune_by_free_mail(reading: Reading) -> bool:
    return "fortune" in reading.groups and places.FREE_MAIL.search(reading.author_domain) is not None


# Without one of these a message may be unwanted, but it is not out to deceive: it is not phishing, whatever its points.
LURES = frozenset(
    {"brand", "account", "password", "parcel", "prize", "fortune", "coins", "blackmail", "lies", "mixed", "no-domain"}
)

SIGNALS: tuple[Signal, ...] = (
    Signal("brand", "uses a name that everybody knows, from a domain that is not theirs", 3, 3, _names_brand),
    Signal("brand-free-mail", "uses such a name from a free webmail account", 1, 2, _free_with_brand),
    Signal("account", "says that something is wrong with an account", 4, 2, _says("account")),
    Signal("password", "asks to sign in or to confirm details", 4, 2, _says("password")),
    Signal("haste", "presses the reader to hurry", 2, 1, _says("haste")),
    Signal("parcel", "says that a parcel or a payment waits", 3, 2, _says("parcel")),
    Signal("prize", "promises a prize, a voucher or free money", 2, 1, _says("prize")),
    Signal("fortune", "promises a fortune from a stranger", 2, 4, _says("fortune")),
    Signal("fortune-free-mail", "speaks of a fortune from a free webmail account", 1, 2, _fortune_by_free_mail),
    Signal("coins", "is about coins, tokens and wallets", 2, 2, _says("coins")),
    Signal("blackmail", "threatens to show what it says that it has seen", 4, 4, _says("blackmail")),
    Signal("selling", "sells as unwanted mail does", 0, 1, _says("selling")),
    Signal("meeting", "offers company", 0, 3, _says("meeting")),
    Signal("lies", "shows one web address and leads to another", 3, 2, _shows_another_address),
    Signal("number", "leads to a number instead of a name", 1, 5, _leads_to_number),
    Signal("free-hosting", "leads to a page that anybody can put up", 3, 3, _hosted(places.FREE_HOSTING)),
    Signal("shortener", "hides where its links lead", 3, 3, _hosted(places.SHORTENERS)),
    Signal("cheap-name", "leads to a name under a cheap ending", 2, 3, _hosted(places.CHEAP_ENDINGS)),
    Signal("cheap-sender", "comes from a name under a cheap ending", 2, 3, _sender_has(places.CHEAP_ENDINGS)),
    Signal("picture-host", "shows pictures from where anybody puts them", 2, 4, _hosted_picture),
    Signal("elsewhere", "leads only to places that are not the sender's", 1, 1, _links_elsewhere),
    Signal("reply-elsewhere", "wants its answers somewhere else", 1, 1, _replies_elsewhere),
    Signal("picture", "is a picture with a link rather than a letter", 2, 2, _mostly_a_picture),
    Signal("short", "has few words and one way to go", 1, 1, _few_words_few_places),
    Signal("no-plain", "comes as a web page only", 1, 1, _is_page_only),
    Signal("odd-letters", "writes with letters that filters cannot read", 4, 5, _head_has(_odd_letters)),
    Signal("mixed", "mixes alphabets within a word", 5, 5, _head_has(_mixed_scripts)),
    Signal("symbols", "has pictures among the words of its subject", 1, 2, _head_has(_has_symbols)),
    Signal("hidden", "holds text that is not meant to be seen", 0, 1, _page_has(_UNSEEN)),
    Signal("form", "asks for an answer in a form within the letter", 0, 1, _page_has(_FORM)),
    Signal("random", "comes from a name that no person chose", 2, 2, _local_is_random),
    Signal("no-domain", "gives an address that cannot be answered", 5, 5, lambda r: "." not in r.author_domain),
    Signal("shared-file", "leads to a file that a stranger shares", 1, 2, _hosted(places.SHARED_FILES)),
    Signal("conversation", "goes on with a conversation", -1, 0, lambda r: r.is_answer),
    Signal("to-address", "calls the reader by their address", 2, 2, _addressed_by_address),
)  # fmt: skip
