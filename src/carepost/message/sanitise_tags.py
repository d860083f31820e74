"""A message's HTML, tag by tag: only harmless tags, properly nested, before any tree is built.

Promises
    Work is linear in the input, whatever it is: tree builders are not (100,000 nested divs cost
    one of them 19 s, another 24 s).
    What comes out holds only tags of the list, each closed where it was opened and none deeper than the limit;
    comments, scripts, styles, forms and foreign content (svg, math) are gone with all they hold.
    TooDeep is raised for what a person could not have written; the caller then shows the words alone.

This is not the sanitiser: it gives the sanitiser something it can bear, and that it need not change.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape, unescape

# Tags that a message may have. The sanitiser has the same list; the two are compared by a test.
TAGS = frozenset(
    {
        "a", "abbr", "address", "article", "b", "big", "blockquote", "br", "caption", "center", "cite", "code", "col",
        "colgroup", "dd", "del", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer", "h1", "h2",
        "h3", "h4", "h5", "h6", "header", "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "ol", "p", "pre", "q",
        "s", "samp", "section", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot",
        "th", "thead", "time", "tr", "tt", "u", "ul", "var", "wbr",
    }
)  # fmt: skip
ATTRIBUTES = frozenset(
    {
        "align", "alt", "background", "bgcolor", "border", "cellpadding", "cellspacing", "color", "colspan", "datetime",
        "dir", "face", "height", "href", "lang", "name", "nowrap", "rowspan", "scope", "size", "span", "src", "start",
        "style", "title", "type", "valign", "value", "width",
    }
)  # fmt: skip
_VOID = frozenset({"br", "col", "hr", "img", "wbr"})
# Elements whose content is not for reading. HTML §13.1.2: raw text, escapable raw text, and foreign content.
_SWALLOWED = frozenset(
    {"script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title", "svg", "math", "object", "applet",
     "select", "datalist", "audio", "video", "canvas", "template", "plaintext"}
)  # fmt: skip
_BLOCKS = frozenset(
    {"address", "article", "blockquote", "center", "dd", "div", "dl", "dt", "figcaption", "figure", "footer", "h1",
     "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre", "section", "table", "ul"}
)  # fmt: skip
_LINE_AFTER = _BLOCKS | {"br", "tr", "caption"}
# Opening the one closes the others that stand open, up to the nearest wall. HTML §13.2.6.4.7.
_CLOSES = {
    "li": ({"li"}, {"ul", "ol", "td", "th", "caption", "table"}),
    "dt": ({"dt", "dd"}, {"dl", "td", "th", "caption", "table"}),
    "dd": ({"dt", "dd"}, {"dl", "td", "th", "caption", "table"}),
    "td": ({"td", "th", "caption"}, {"table"}),
    "th": ({"td", "th", "caption"}, {"table"}),
    "tr": ({"tr", "caption"}, {"table"}),
    "tbody": ({"tbody", "thead", "tfoot", "tr", "caption"}, {"table"}),
    "thead": ({"tbody", "thead", "tfoot", "tr", "caption"}, {"table"}),
    "tfoot": ({"tbody", "thead", "tfoot", "tr", "caption"}, {"table"}),
    "a": ({"a"}, {"td", "th", "caption", "table"}),
}
_WALLS = frozenset({"td", "th", "caption", "table"})
# Within these only parts of a table may stand. Browsers move anything else in front of the table; we give it a cell.
_BETWEEN_CELLS = frozenset({"table", "tbody", "thead", "tfoot", "tr", "colgroup"})
_ROWS = frozenset({"table", "tbody", "thead", "tfoot"})
_TABLE_PARTS = frozenset({"td", "th", "caption", "tr", "tbody", "thead", "tfoot", "table"})

_PARTS = (_TABLE_PARTS | {"col", "colgroup"}) - {"table"}

# A tag as a browser's tokenizer reads it (HTML §13.2.5): quotes count only after an equals sign, and a quoted value
# that never ends makes a tag that never ends. Possessive throughout, so that no input is read twice.
_VALUE = r"""(?:"(?P<double>[^"]*+)"|'(?P<single>[^']*+)'|(?!["'])(?P<bare>[^\s>]*+))"""
_ATTRIBUTE = rf"(?P<name>=?[^\s/>=]*+)\s*+(?:=\s*+{_VALUE}|(?!=))"
_TAG = re.compile(
    r"<(?P<end>/?)(?P<tag>[A-Za-z][^\s/>]*+)(?P<rest>(?:[\s/]++|(?=[^\s/>])"
    + re.sub(r"\?P<\w+>", "?:", _ATTRIBUTE)
    + r")*+)>"
)
_ATTRIBUTES = re.compile(r"(?=[^\s/>])" + _ATTRIBUTE)
_MARKUP_START = re.compile(r"<(?=[A-Za-z/!?])")
_NAME_START = re.compile(r"</?[A-Za-z]")


# Links open in a window of their own; written here, since nh3 adds attributes in no fixed order.
_ALWAYS = {"a": ' target="_blank"'}


Decide = Callable[[str, str], str | None]


class TooDeep(Exception):
    """More nesting, tags or character references than anything written to be read."""


@dataclass(slots=True)
class _Balance:
    """The open elements, so that every tag of the output is closed where it was opened."""

    depth_max: int
    tags_max: int
    decide: Decide
    out: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    tags: int = 0
    marks: int = 0

    def start(self, name: str, attributes: str) -> None:
        self.tags += 1
        if name in _PARTS and not self._may_stand(name):
            return
        if name in _BLOCKS and self.counts.get("p"):
            self._close_any({"p"}, _WALLS)
        if closes := _CLOSES.get(name):
            self._close_any(*closes)
        self._make_room(name)
        self.out.append(f"<{name}{_written(attributes, self.decide)}{_ALWAYS.get(name, '')}>")
        if name in _VOID:
            return
        self._push(name)
        if len(self.open) > self.depth_max or self.tags > self.tags_max:
            raise TooDeep

    def text(self, written: str) -> None:
        # Written anew, so that an ampersand that begins nothing costs the sanitiser nothing (2 MB of them: 52 s).
        self.marks += written.count("&") + written.count("<")
        if self.marks > self.tags_max:
            raise TooDeep
        if self.open and self.open[-1] in _BETWEEN_CELLS and not written.isspace():
            self._make_room("")
        if self.out and self.out[-1].startswith("<pre"):
            # HTML §13.2.6.4.7: the first line end in <pre> is dropped by whoever reads it, so it must not matter.
            written = written.lstrip("\r\n")
        if written:
            self.out.append(escape(unescape(written), quote=False) if "&" in written or "<" in written else written)

    def end(self, name: str) -> None:
        if name == "br":
            self.out.append("<br>")
        walls = {"table"} if name in _TABLE_PARTS and name != "table" else set() if name == "table" else _WALLS
        self._close_any({name}, walls)

    def _may_stand(self, name: str) -> bool:
        """Whether a part of a table has a table to stand in. Without one browsers leave it out."""
        if not self.counts.get("table"):
            return False
        top = self.open[-1]
        return not (name == "col" and top not in {"table", "colgroup"}) and not (
            name in {"caption", "colgroup"} and top not in {"table", "caption", "colgroup"}
        )

    def _make_room(self, name: str) -> None:
        """Give what is about to come the row and the cell that it needs, so that the tree is as we write it."""
        if self.open and self.open[-1] == "colgroup" and name not in {"col", "colgroup"}:
            self._pop()
        top = self.open[-1] if self.open else ""
        if top not in _BETWEEN_CELLS or name in _PARTS - {"td", "th"}:
            return
        if top in _ROWS:
            self._begin("tr")
        if name not in {"td", "th"}:
            self._begin("td")

    def _begin(self, name: str) -> None:
        self.out.append(f"<{name}>")
        self._push(name)

    def _push(self, name: str) -> None:
        self.open.append(name)
        self.counts[name] = self.counts.get(name, 0) + 1

    def finish(self) -> str:
        while self.open:
            self._pop()
        return "".join(self.out)

    def _close_any(self, names: set[str], walls: set[str] | frozenset[str]) -> None:
        """Close up to the innermost of `names`, unless a wall stands in front of it."""
        if not any(self.counts.get(name) for name in names):
            return
        for at in range(len(self.open) - 1, -1, -1):
            if self.open[at] in names:
                while len(self.open) > at:
                    self._pop()
                return
            if self.open[at] in walls:
                return

    def _pop(self) -> None:
        name = self.open.pop()
        self.counts[name] -= 1
        self.out.append(f"</{name}>")


def balanced(html: str, *, depth_max: int, tags_max: int, decide: Decide) -> str:
    """Only tags of the list, nested as written where that is possible. Raise TooDeep over a limit.

    `decide` is asked for the value of each attribute of the list, and answers None to leave it out.
    """
    balance = _Balance(depth_max, tags_max, decide)
    for kind, name, rest in _tokens(html):
        if kind == "text":
            balance.text(rest)
        elif name in TAGS:
            if kind == "start":
                balance.start(name, rest)
            else:
                balance.end(name)
    return balance.finish()


def _written(attributes: str, decide: Decide) -> str:
    """The attributes that a message may have, in one way of writing: the sanitiser reads what we read."""
    kept: dict[str, str] = {}
    for match in _ATTRIBUTES.finditer(attributes):
        name = match["name"].lower()
        if name in ATTRIBUTES:
            value = match["double"] or match["single"] or match["bare"] or ""
            # HTML §13.2.5.33: of two attributes of one name the first counts.
            kept.setdefault(name, value)
    decided = ((name, decide(name, unescape(value))) for name, value in kept.items())
    return "".join(f' {name}="{escape(value)}"' for name, value in decided if value is not None)


def words_of(html: str) -> str:
    """The words alone, with line ends where a reader would see them. Linear, for any input."""
    parts: list[str] = []
    for kind, name, rest in _tokens(html):
        if kind == "text":
            parts.append(re.sub(r"\s+", " ", unescape(rest)))
        elif name in _LINE_AFTER:
            parts.append("\n" if kind == "end" or name in {"br", "hr"} else "\n" if name in _BLOCKS else "")
        elif name in {"td", "th"} and kind == "end":
            parts.append("\t")
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", "".join(parts))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def as_paragraphs(words: str) -> str:
    """Words as HTML, for a message whose own HTML could not be shown."""
    return "".join(f"<p>{escape(part)}</p>" for part in words.split("\n") if part.strip())


def _tokens(html: str) -> Iterator[tuple[str, str, str]]:
    """(kind, name, rest): text, start and end. What must not be read (comments, scripts, svg …) is passed over."""
    at, length = 0, len(html)
    lowered = _Lazily(html)
    while at < length:
        found = _MARKUP_START.search(html, at)
        if found is None:
            break
        opening = found.start()
        if opening > at:
            yield "text", "", html[at:opening]
        if match := _TAG.match(html, opening):
            name, kind = match["tag"].lower(), "end" if match["end"] else "start"
            at = match.end()
            if kind == "start" and name in _SWALLOWED:
                at = lowered.after_end_of(name, at)
            else:
                yield kind, name, match["rest"]
        elif _NAME_START.match(html, opening):
            return  # A tag that never ends swallows the rest, as in a browser.
        elif html.startswith("<!--", opening):
            at = _after_comment(html, opening)
        else:  # what browsers call a bogus comment: `<!`, `<?`, `</` and no name
            end = html.find(">", opening)
            at = length if end < 0 else end + 1
    if at < length:
        yield "text", "", html[at:]


def _after_comment(html: str, opening: int) -> int:
    """HTML §13.2.5.43: `<!-->` and `<!--->` are whole comments; `-->` and `--!>` end one."""
    for short in ("<!-->", "<!--->"):
        if html.startswith(short, opening):
            return opening + len(short)
    ends = [end + size for mark, size in (("-->", 3), ("--!>", 4)) if (end := html.find(mark, opening + 4)) >= 0]
    return min(ends, default=len(html))


class _Lazily:
    """The text in lower case, made once and only when it is needed; remembers which end tags do not exist."""

    def __init__(self, html: str) -> None:
        self._html = html
        self._lowered: str | None = None
        self._absent: set[str] = set()

    def after_end_of(self, name: str, at: int) -> int:
        """Behind `</name …>`; where there is none, `at`: only the tag goes, since a lost tag must not hide a letter."""
        if name in self._absent:
            return at
        if self._lowered is None:
            self._lowered = "".join(c.lower() if c.isascii() else c for c in self._html)
        end = self._lowered.find(f"</{name}", at)
        if end < 0:
            self._absent.add(name)
            return at
        close = self._lowered.find(">", end)
        return len(self._html) if close < 0 else close + 1
