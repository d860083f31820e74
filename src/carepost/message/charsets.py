"""Charsets by whitelist: bytes to text without surprises (M6).

Promises
    `decode` never raises and never looks up a codec by a stranger's name.
    UTF-7, HZ, ISO-2022-KR/CN, UTF-32 and EBCDIC are never decoded: they can spell `<script` in innocent bytes.
    What can't be decoded becomes U+FFFD; the raw bytes stay where they were.
"""

# WHATWG Encoding's labels decide where names disagree with practice: "latin-1" in the wild means windows-1252.
_WINDOWS = {f"windows-{n}": f"cp{n}" for n in (1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258, 874)}
_ISO = {f"iso-8859-{n}": f"iso8859_{n}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 14, 15, 16)}
_CODECS: dict[str, str] = {
    **_WINDOWS,
    **{name.replace("windows-", "cp"): codec for name, codec in _WINDOWS.items()},
    **{name.replace("windows-", "x-cp"): codec for name, codec in _WINDOWS.items()},
    **_ISO,
    **{name.replace("iso-8859-", "iso8859-"): codec for name, codec in _ISO.items()},
    **{name.replace("-", "_"): codec for name, codec in _ISO.items()},
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "us-ascii": "us-ascii",
    "ascii": "us-ascii",
    "ansi_x3.4-1968": "us-ascii",
    "ansi_x3.110-1983": "us-ascii",
    "646": "us-ascii",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "l1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso8859-9": "cp1254",
    "latin2": "iso8859_2",
    "latin9": "iso8859_15",
    "iso-8859-8-i": "iso8859_8",
    "iso-8859-8-e": "iso8859_8",
    "iso-8859-6-i": "iso8859_6",
    "iso-8859-6-e": "iso8859_6",
    "tis-620": "cp874",
    "koi8-r": "koi8_r",
    "koi8-u": "koi8_u",
    "koi8-ru": "koi8_u",
    "ibm437": "cp437",
    "cp437": "cp437",
    "ibm850": "cp850",
    "cp850": "cp850",
    "ibm852": "cp852",
    "cp852": "cp852",
    "ibm866": "cp866",
    "cp866": "cp866",
    "macintosh": "mac_roman",
    "mac": "mac_roman",
    "x-mac-roman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "x-gbk": "gb18030",
    "cp936": "gb18030",
    "euc-cn": "gb18030",
    "big5": "big5hkscs",
    "big5-hkscs": "big5hkscs",
    "x-x-big5": "big5hkscs",
    "cp950": "big5hkscs",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "cp932": "cp932",
    "euc-jp": "euc_jp",
    "x-euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-2022-jp-1": "iso2022_jp_1",
    "iso-2022-jp-2": "iso2022_jp_2",
    "iso-2022-jp-3": "iso2022_jp_3",
    "iso-2022-jp-ms": "iso2022_jp_ext",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "ksc5601": "cp949",
    "windows-949": "cp949",
    "cp949": "cp949",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}

# "Unknown" by these names says nothing odd about a message: RFC 1428 invented one, spam filters know the other.
_SAYS_NOTHING = frozenset({"", "unknown-8bit", "x-unknown", "unknown", "default", "x-user-defined", "8bit", "7bit"})


def is_known(charset: str) -> bool:
    """Whether `charset` may be decoded by its own name."""
    name = _name(charset)
    return name in _CODECS or name in _SAYS_NOTHING


def decode(data: bytes, charset: str = "") -> str:
    """Text for people. An unknown or wrong charset falls back to UTF-8, then to windows-1252."""
    codec = _CODECS.get(_name(charset))
    if codec is None or codec == "us-ascii":
        return _guess(data)
    try:
        return data.decode(codec)
    except (UnicodeDecodeError, ValueError):
        if codec == "utf-8":
            # Mislabelled far more often than broken: a whole message of U+FFFD helps nobody.
            return data.decode("utf-8", "replace")
        return data.decode(codec, "replace")


def _guess(data: bytes) -> str:
    if data.isascii():
        return data.decode("ascii")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _name(charset: str) -> str:
    return charset.strip().strip("'\"").lower()[:40]
