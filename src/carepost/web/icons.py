"""Our own line drawings, 24 by 24, drawn into the page: nothing is fetched, and they take the colour of their words."""

from markupsafe import Markup

_PATHS = {
    "inbox": "M3 13h5l2 3h4l2-3h5M5.5 5h13L21 13v6H3v-6z",
    "flag": "M5 21V4h11l-1.5 4L16 12H5",
    "drafts": "M4 20h16M6 16l1-4 9-9 3 3-9 9z",
    "sent": "M3 11 21 3l-7 18-3-8z M11 13l4-4",
    "archive": "M3 5h18v4H3z M5 9v11h14V9 M10 13h4",
    "junk": "M12 3 2 20h20z M12 10v4 M12 17v.5",
    "trash": "M4 7h16 M9 7V4h6v3 M6 7l1 13h10l1-13 M10 11v6 M14 11v6",
    "folder": "M3 6h6l2 2h10v11H3z",
    "people": "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z M2.5 20c.5-4 3-6 6.5-6s6 2 6.5 6"
    " M16 4.5a3.5 3.5 0 0 1 0 6.4 M18 14.5c2 .8 3.2 2.6 3.5 5.5",
    "search": "M10.5 17.500a7 7 0 1 0 0-14 7 7 0 0 0 0 14z M16 16l5 5",
    "shield": "M12 3 4 6v6c0 5 3.5 7.5 8 9 4.5-1.5 8-4 8-9V6z",
    "shield-tick": "M12 3 4 6v6c0 5 3.5 7.5 8 9 4.5-1.5 8-4 8-9V6z M8.5 12l2.5 2.5 4.5-5",
    "outside": "M13 4h7v7 M20 4l-9 9 M18 14v6H4V6h6",
    "warning": "M12 3 2 20h20z M12 9.500v5 M12 17v.5",
    "clip": "M20 11l-8.5 8.500a5 5 0 0 1-7-7L13 4a3.4 3.4 0 0 1 5 5l-8.5 8.500a1.7 1.7 0 0 1-2.5-2.500L14.5 8",
    "file": "M6 3h8l4 4v14H6z M14 3v4h4",
    "picture": "M3 5h18v14H3z M3 16l5-5 4 4 3-3 6 6 M16 9.500v.1",
    "tick": "M5 12.500l4.5 4.500L19 7",
    "back": "M15 5l-7 7 7 7",
    "read": "M3 9l9-6 9 6v11H3z M3 9l9 6 9-6",
    "unread": "M3 6h18v13H3z M3 6l9 8 9-8",
    "move": "M3 6h6l2 2h10v11H3z M9 13.500h6 M12.5 11l2.5 2.5-2.5 2.5",
    "settings": "M4 7h9 M17 7h3 M4 17h3 M11 17h9 M15 4.500v5 M9 14.500v5",
    "quarantine": "M8 3h8l5 5v8l-5 5H8l-5-5V8z M8.5 12h7",
    "answered": "M9 6 4 11l5 5 M4 11h9c4 0 6 2 7 7",
    "letter": "M3 6h18v13H3z M3 6l9 8 9-8",
    "out": "M10 4H4v16h6 M9 12h11 M16 8l4 4-4 4",
    "info": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M12 11v6 M12 7.500v.1",
    "print": "M7 9V3h10v6 M5 9h14v8h-3 M8 17H5 M8 14h8v7H8z",
}

ICONS = {
    name: Markup(f'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d="{path}"/></svg>')  # noqa: S704
    for name, path in _PATHS.items()
}  # Our own drawings: nothing of a stranger's is in them.

LOGO = Markup(
    '<svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">'
    '<rect class="brand-mark" width="32" height="32" rx="8"/>'
    '<path class="brand-line" d="M6.5 10.5h19v12h-19z M6.5 11l9.5 7 9.5-7"/></svg>'
)


def icon(name: str) -> Markup:
    """The drawing of that name. KeyError for a name we do not have: a template's mistake, found by its test."""
    return ICONS[name]
