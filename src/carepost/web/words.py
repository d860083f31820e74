"""PURE. Small words that several pages need."""

import re
from datetime import datetime


def initials_of(name: str) -> str:
    """Two letters of a name: first and last word, titles aside; of an address its first letter."""
    words = [word for word in re.split(r"[\s@.<>()\"',_-]+", name.partition("@")[0]) if word and word[0].isalpha()]
    words = [word for word in words if word.lower() not in {"dr", "mr", "mrs", "ms", "miss", "prof", "sister", "the"}]
    if not words:
        return "?"
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


def day_words(at: datetime) -> str:
    return f"{at.day} {at:%B} {at:%Y}"


def long_time(at: datetime) -> str:
    return f"{at:%A} {at.day} {at:%B} {at:%Y}, {at:%H:%M}"
