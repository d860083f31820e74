"""What a file's name says, and the tricks it plays on the eye (M5).

Promises
    Works on the name as the sender wrote it, before anything was cleaned for showing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Marks that change the order or the look of letters. UAX #9, UTS #39.
_TURNS_LETTERS = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
_UNSEEN = re.compile("[\u0000-\u001f\u007f\u00ad\u200b-\u200d\u2060\ufeff]")
_EXTENSION = re.compile(r"\.([A-Za-z0-9_-]{1,16})$")
_LONG_GAP = re.compile(r"\s{4,}\.?\s*[A-Za-z0-9]{1,16}$|_{10,}\.[A-Za-z0-9]{1,16}$")


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


PROGRAM_EXTENSIONS = _listed(
    # Programs, installers and what Windows runs on a double click (the list Outlook and NHSmail block, and newer ones).
    "exe com scr pif cpl sys drv ocx dll msi msp mst msix msixbundle appx appxbundle appinstaller application gadget "
    "bat cmd ps1 ps1xml ps2 psc1 psc2 psd1 psm1 vb vbe vbs vbp js jse mjs ws wsc wsf wsh hta htc sct shb shs scf "
    "lnk url website desktop inf ins isp reg msc job jnlp jar jad class apk ipa deb rpm run elf sh bash csh ksh "
    "command workflow action pkg mpkg dmg iso img udf vhd vhdx vmdk wim swm esd chm hlp one onepkg xll wll xla "
    "ade adp mdb mde mda mdt mdw accde accda accdr accdb grp theme themepack diagcab settingcontent-ms library-ms "
    "searchconnector-ms search-ms rdp rgs iqy dqy oqy rqy slk py pyc pyo pyw pyz pyzw pl rb lua "
    "prg xbap xnk appref-ms vsmacros vsw vsto app mad maf mag mam maq mar mas mat mau mav maw"
)
MACRO_EXTENSIONS = _listed("docm dotm xlsm xltm xlam xlsb pptm potm ppam ppsm sldm")
PAGE_EXTENSIONS = _listed("htm html xhtml shtml mht mhtml svg svgz xht")
# What people open without a thought: an innocent first ending before a dangerous last one.
_INNOCENT = _listed(
    "pdf doc docx xls xlsx csv ppt pptx rtf txt odt ods jpg jpeg png gif tif tiff bmp wav mp3 mp4 htm html eml msg "
    "zip dcm hl7 xml"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPolicy:
    """Which endings count as programs and as macro documents. R133 asks that the list can be changed."""

    programs: frozenset[str] = PROGRAM_EXTENSIONS
    macros: frozenset[str] = MACRO_EXTENSIONS


def plain(name: str) -> str:
    """The name as the file system would have it: marks, controls, trailing dots and spaces gone, last path part."""
    name = _UNSEEN.sub("", _TURNS_LETTERS.sub("", name.partition("\x00")[0] or name))
    return re.split(r"[\\/]", name)[-1].rstrip(". \t\r\n")


def extension(name: str) -> str:
    found = _EXTENSION.search(plain(name))
    return found[1].lower() if found else ""


def is_program_name(names: Iterable[str], policy: BlockPolicy) -> str | None:
    """The first of the names that ends like a program."""
    return next((name for name in names if _endings(name) & policy.programs), None)


def is_macro_name(names: Iterable[str], policy: BlockPolicy) -> str | None:
    return next((name for name in names if _endings(name) & policy.macros), None)


def deceives(name: str, policy: BlockPolicy) -> str | None:
    """How the name hides what the file is, in words; None when it does not."""
    if _TURNS_LETTERS.search(name):
        return "its name holds a mark that writes letters backwards"
    if "\x00" in name:
        return "its name goes on after an invisible end"
    stem, dot, last = plain(name).rpartition(".")
    first = extension(stem) if dot else ""
    if first in _INNOCENT and last.lower() in (policy.programs | PAGE_EXTENSIONS) - {first, "html", "htm"}:
        return f"its name pretends to end in .{first} and ends in .{last.lower()[:16]}"
    if first in _INNOCENT - {"htm", "html", "eml"} and last.lower() in {"html", "htm"}:
        return f"its name pretends to end in .{first} and is a web page"
    if _LONG_GAP.search(name) and last.lower() in policy.programs | PAGE_EXTENSIONS:
        return "its name has a long gap that hides its ending"
    return None


def _endings(name: str) -> set[str]:
    """The ending that each program might see: after cutting at NUL, and before."""
    whole = _UNSEEN.sub("", _TURNS_LETTERS.sub("", name)).rstrip(". \t")
    found = _EXTENSION.search(whole)
    return {extension(name), found[1].lower()} if found else {extension(name)}
