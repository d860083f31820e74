"""Everything that can be wrong with a message and that we noticed. Data, never an exception.

Promises
    A value, once stored with a message, keeps its meaning; new ones may be added.
    A defect says what is odd, not how bad it is: weights belong to the gateway's checks.
"""

from enum import StrEnum


class Defect(StrEnum):
    # The tree of parts.
    TOO_DEEP = "too-deep"  # nested deeper than we follow; what lies below is one opaque leaf
    TOO_MANY_PARTS = "too-many-parts"  # the rest of the message is one opaque leaf
    NO_BOUNDARY = "no-boundary"  # a multipart that names no boundary
    BOUNDARY_NEVER_FOUND = "boundary-never-found"  # it names one that never occurs
    BOUNDARY_NEVER_CLOSED = "boundary-never-closed"
    BOUNDARY_LOOKALIKE = "boundary-lookalike"  # a line that only begins like a boundary: others may split there
    BOUNDARY_REUSED = "boundary-reused"  # a multipart inside another, with the same boundary
    PARTS_AFTER_CLOSE = "parts-after-close"  # a boundary line after the closing one: others may show what follows
    MULTIPART_ENCODED = "multipart-encoded"  # base64 or quoted-printable around parts: RFC 2045 §6.4 forbids it
    MESSAGE_ENCODED = "message-encoded"  # the same around an embedded message, which we then do not enter
    MESSAGE_PARTIAL = "message-partial"  # one of several fragments; never put together (M3)
    EXTERNAL_BODY = "external-body"  # points elsewhere; never fetched (M3)
    # Header blocks.
    HEADER_TOO_LARGE = "header-too-large"  # only its beginning was considered
    TOO_MANY_HEADERS = "too-many-headers"
    TOO_MANY_PARAMETERS = "too-many-parameters"
    BAD_HEADER_LINE = "bad-header-line"  # neither a field nor a continuation
    SPACE_BEFORE_COLON = "space-before-colon"
    NO_BLANK_LINE = "no-blank-line"  # nothing separates header and body
    EIGHT_BIT_HEADER = "eight-bit-header"  # and not UTF-8 either (RFC 6532)
    DUPLICATE_CONTENT_TYPE = "duplicate-content-type"
    DUPLICATE_ENCODING = "duplicate-encoding"
    DUPLICATE_DISPOSITION = "duplicate-disposition"
    DUPLICATE_PARAMETER = "duplicate-parameter"
    BAD_CONTENT_TYPE = "bad-content-type"
    ODD_BOUNDARY = "odd-boundary"  # unquoted with characters that need quotes, or over 70 characters
    COMMENT_IN_MIME_HEADER = "comment-in-mime-header"
    NO_MIME_VERSION = "no-mime-version"  # the message uses MIME and does not say so
    FILENAME_CONFLICT = "filename-conflict"  # two names for one attachment
    FILENAME_ENCODED_WORD = "filename-encoded-word"  # RFC 2047 §5 forbids it; readers differ
    # Who and when.
    NO_FROM = "no-from"
    MULTIPLE_FROM = "multiple-from"  # two From fields, or two authors without a Sender
    DUPLICATE_FIELD = "duplicate-field"  # Subject, Date, To … twice (RFC 5322 §3.6)
    BAD_DATE = "bad-date"
    # Bytes.
    NUL = "nul"
    BARE_CR = "bare-cr"
    BARE_LF = "bare-lf"
    BAD_BASE64 = "bad-base64"  # characters outside the alphabet, or padding before the end
    BAD_QUOTED_PRINTABLE = "bad-quoted-printable"
    UNKNOWN_ENCODING = "unknown-encoding"
    UNKNOWN_CHARSET = "unknown-charset"  # or one we refuse, such as UTF-7 (M6)
    UUENCODED = "uuencoded"  # a file inside plain text
    YENCODED = "yencoded"
