"""What a stranger's style may change: type, colour, spacing and borders. Nothing that fetches, covers or computes.

Promises
    No `url()`, no function but colours, no at-rule, no custom property, no position, z-index, content or opacity.
    A declaration that is not understood is dropped alone; the others stay.
    The result of a second pass is the result of the first.
"""

import re
from collections.abc import Iterator

import tinycss2
from tinycss2 import ast

STYLE_MAX = 4000  # Characters of one style attribute: the longest that newsletters write are near a thousand.
_NESTING_MAX = 8  # Brackets in one attribute; colours need one.

PROPERTIES = frozenset(
    {
        "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left",
        "border-radius", "border-right", "border-spacing", "border-style", "border-top", "border-width", "color",
        "display",
        "font-family", "font-size", "font-style", "font-variant", "font-weight", "height", "letter-spacing",
        "line-height", "list-style-type", "margin", "margin-bottom", "margin-left", "margin-right", "margin-top",
        "max-width", "padding", "padding-bottom", "padding-left", "padding-right", "padding-top", "text-align",
        "text-decoration", "text-indent", "text-transform", "vertical-align", "white-space", "width", "word-break",
    }
)  # fmt: skip
_COLOUR_FUNCTIONS = frozenset({"rgb", "rgba", "hsl", "hsla"})
_DISPLAYS = frozenset({"block", "inline", "inline-block", "none", "table", "table-row", "table-cell", "list-item"})
_FETCHES = re.compile(r"url\s*\(|image-set|\\", re.IGNORECASE)


def safe_style(style: str) -> str:
    """The declarations of a style attribute that are allowed; empty when none is."""
    if len(style) > STYLE_MAX or style.count("(") + style.count("[") + style.count("{") > _NESTING_MAX:
        return ""
    kept = [f"{name}:{value}" for name, value in _declarations(style)]
    return ";".join(kept)


def fetches(style: str) -> bool:
    """Whether the style asks for something from elsewhere (a remote picture that will not be shown)."""
    return bool(_FETCHES.search(style))


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for node in tinycss2.parse_declaration_list(style, skip_comments=True, skip_whitespace=True):
        if not isinstance(node, ast.Declaration):
            continue
        name, value = node.lower_name, node.value
        if name == "background" and all(_is_colour(token) for token in value if not _is_space(token)):
            name = "background-color"
        if name in PROPERTIES and all(_is_plain(token) for token in value):
            text = " ".join(tinycss2.serialize(value).split())
            if text and (name != "display" or text.lower() in _DISPLAYS):
                yield name, text


def _is_space(token: ast.Node) -> bool:
    return isinstance(token, ast.WhitespaceToken | ast.Comment)


def _is_colour(token: ast.Node) -> bool:
    return isinstance(token, ast.HashToken | ast.IdentToken) or _is_colour_function(token)


def _is_colour_function(token: ast.Node) -> bool:
    if not isinstance(token, ast.FunctionBlock) or token.lower_name not in _COLOUR_FUNCTIONS:
        return False
    plain = (ast.NumberToken, ast.PercentageToken, ast.WhitespaceToken, ast.DimensionToken)
    return all(isinstance(part, plain) or (isinstance(part, ast.LiteralToken) and part.value in ",/")
               for part in token.arguments)  # fmt: skip


def _is_plain(token: ast.Node) -> bool:
    """A number, a length, a word, a quoted name, a colour. Escapes are refused: they hide words."""
    if isinstance(token, ast.LiteralToken):
        return token.value in {",", "/"}
    if isinstance(token, ast.IdentToken):
        return re.fullmatch(r"-?[A-Za-z][A-Za-z0-9-]*", token.value) is not None
    if isinstance(token, ast.StringToken):
        return re.fullmatch(r"[\w .-]*", token.value) is not None
    if isinstance(token, ast.NumberToken | ast.PercentageToken | ast.HashToken | ast.WhitespaceToken):
        return True
    if isinstance(token, ast.DimensionToken):
        return re.fullmatch(r"[a-z]{1,4}", token.lower_unit) is not None
    return _is_colour_function(token)
