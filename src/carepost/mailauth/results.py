"""Authentication-Results: ours written, and other people's distrusted. RFC 8601.

Promises
    Nothing that a stranger chose can end a value early or begin another: every value is a domain, or is quoted, or is
    left out (P12).
    `strip_spans` finds every field that claims to be ours, and every one whose author cannot be told for certain.
    The local part of a sender's address is never written: the field travels further than the envelope did.
"""

from collections.abc import Sequence

from carepost.mailauth.arc import ArcResult
from carepost.mailauth.dkim import DkimResult
from carepost.mailauth.dmarc import DmarcResult
from carepost.mailauth.fields import Field, field_value
from carepost.mailauth.spf import SpfResult

NAME = b"authentication-results"
_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/+=")
_ID = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
_VALUE_MAX = 255
_LINE = 78


def authentication_results(
    authserv_id: str,
    *,
    spf: SpfResult | None = None,
    dkim: Sequence[DkimResult] = (),
    dmarc: DmarcResult | None = None,
    arc: ArcResult | None = None,
) -> bytes:
    """The whole field, final CRLF included, one method a line. RFC 8601 §2.2."""
    value = results_value(authserv_id, spf=spf, dkim=dkim, dmarc=dmarc, arc=arc)
    return b"Authentication-Results: " + value + b"\r\n"


def results_value(
    authserv_id: str,
    *,
    spf: SpfResult | None = None,
    dkim: Sequence[DkimResult] = (),
    dmarc: DmarcResult | None = None,
    arc: ArcResult | None = None,
) -> bytes:
    """The value alone, for ARC-Authentication-Results as well. `authserv_id` is our own name: a plain domain."""
    methods = []
    if spf is not None:
        identity = ("smtp.helo", spf.domain) if spf.helo else ("smtp.mailfrom", spf.domain)
        methods.append(_method("spf", spf.status.value, spf.reason, identity))
    methods += [_dkim_method(result) for result in dkim]
    if dmarc is not None:
        methods.append(_dmarc_method(dmarc))
    if arc is not None:
        methods.append(_arc_method(arc))
    return ";\r\n\t".join([authserv_id, *(methods or ["none"])]).encode("ascii")


def _dkim_method(result: DkimResult) -> str:
    properties = (
        ("header.d", result.domain),
        ("header.s", result.selector),
        ("header.a", result.algorithm),
        ("header.b", result.signature_start),  # RFC 6008 §4
    )
    reason = result.reason or ("part of the body is not signed" if result.partial_body else "")
    return _method("dkim", result.status.value, reason, *properties)


def _dmarc_method(dmarc: DmarcResult) -> str:
    # RFC 7489 §11.1 registers header.from; the policy is a comment, as everybody writes it.
    method = _method("dmarc", dmarc.status.value, dmarc.reason, ("header.from", dmarc.from_domain))
    return method.replace(f"={dmarc.status.value}", f"={dmarc.status.value} (p={dmarc.policy.value})", 1)


def _arc_method(arc: ArcResult) -> str:
    # RFC 8617 §10.2: which sealer's word still holds for the message as it is.
    oldest = ("header.oldest-pass", str(arc.oldest_pass)) if arc.status.value == "pass" else ("", "")
    return _method("arc", arc.status.value, arc.reason, oldest)


def _method(name: str, result: str, reason: str, *properties: tuple[str, str]) -> str:
    parts = [f"{name}={result}"]
    if reason:
        parts.append(f"reason={_quoted(reason)}")
    for key, value in properties:
        if value and (safe := _safe(value)):
            parts.append(f"{key}={safe}")
    return _folded(parts)


def _safe(value: str) -> str:
    """A token if it is one; else quoted. RFC 2045 §5.1, RFC 8601 §2.2 `pvalue`."""
    if len(value) > _VALUE_MAX:
        return ""
    # "=" and "/" may only stand in quotes (RFC 2045 `tspecials`); base64 in header.b has both.
    return value if set(value) <= _TOKEN - {"/", "="} else _quoted(value)


def _quoted(text: str) -> str:
    kept = "".join(c for c in text if " " <= c <= "~")[:_VALUE_MAX]
    return '"' + kept.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _folded(parts: Sequence[str]) -> str:
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + len(part) > _LINE - 10:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + part
    return "\r\n\t ".join(lines)


def strip_spans(headers: Sequence[Field], authserv_id: str) -> list[tuple[int, int]]:
    """Where the fields lie that must not be believed: (start, end) in the header, as the fields are joined.

    RFC 8601 §5. The sender's bytes are kept as they are; whoever shows or hands on the message leaves these spans out.
    """
    spans: list[tuple[int, int]] = []
    at = 0
    for name, field in headers:
        if name == NAME and _may_claim_to_be(field_value(field), authserv_id):
            spans.append((at, at + len(field)))
        at += len(field)
    return spans


def _may_claim_to_be(value: bytes, authserv_id: str) -> bool:
    """Is this ours by its own word, or by anybody's reading of it? A name above or below ours counts as ours."""
    named = _plain_id(value)
    if named is None:
        return True
    ours = authserv_id.lower()
    return named == ours or named.endswith("." + ours) or ours.endswith("." + named)


def _plain_id(value: bytes) -> str | None:
    """The authserv-id, if it stands there plainly: a name, then a semicolon, a version or a well-formed comment.

    None for quotes, apostrophes, leading comments, folding within it, a missing id: readers differ on those.
    """
    text = value.replace(b"\r\n", b"").lstrip(b" \t")
    end = next((at for at, byte in enumerate(text) if byte not in _ID), len(text))
    name, rest = text[:end], text[end:]
    after = rest.lstrip(b" \t")
    if not name or (rest[:1] not in (b";", b" ", b"\t", b"")):
        return None
    # RFC 8601 §2.2: an optional version, the digit 1 so far, and then the first semicolon.
    if after.partition(b";")[0].strip(b" \t") not in (b"", b"1"):
        return None
    return name.decode("ascii").lower().rstrip(".")
