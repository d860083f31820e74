"""The register of secure domains, for whoever keeps it: looked through, and a published list taken over in two steps.

First the list is shown with what it would change; nothing is done. Then somebody confirms, and exactly that is done:
if the register has changed meanwhile they are asked to look again (R103).
"""

import zlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from carepost.base.clock import Clock
from carepost.base.errors import MailError, Malformed
from carepost.directory.access import Verb
from carepost.directory.model import DomainMatch, SecureDomain
from carepost.directory.register_file import RegisterDiff
from carepost.directory.register_keeping import RegisterKeeping
from carepost.web.forms import Form
from carepost.web.sealing import SaidNote
from carepost.web.shell import Door, On, Visit

LINES_SHOWN = 50
DIFF_SHOWN = 200
# What travels through the browser between the two steps. Larger lists: `carepost secure-domains import`.
LIST_MAX = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPages:
    keeping: RegisterKeeping
    clock: Clock

    def doors(self) -> list[Door]:
        return [
            _door("/admin/secure-domains", "GET", "admin.register", self.look),
            _door("/admin/secure-domains/import", "POST", "admin.register.preview", self.preview, takes_files=True),
            _door("/admin/secure-domains/apply", "POST", "admin.register.apply", self.apply, takes_files=True),
        ]

    async def look(self, visit: Visit) -> Response:
        return await self._show(visit, Form())

    async def preview(self, visit: Visit) -> Response:
        """What the chosen list would change."""
        form = visit.form
        source = form.require("source", "Say where the list comes from")
        chosen = form.files[0].content if form.files else b""
        if not chosen:
            form.wrong("list", "Choose the file with the list")
        elif len(chosen) > LIST_MAX:
            form.wrong("list", f"The file is larger than {LIST_MAX // 1_000_000} MB; ask whoever runs the service")
        if not form.is_right:
            return await self._show(visit, form)
        try:
            diff = await self.keeping.preview(visit.me.actor, chosen, source=source)
        except Malformed as error:
            form.wrong("list", error.public)
            return await self._show(visit, form)
        return self._ask(visit, diff, chosen)

    async def apply(self, visit: Visit) -> Response:
        """Do what was shown."""
        form = visit.form
        raw, source = _unpacked(form.values.get("list", "")), form.text("source")
        try:
            diff = await self.keeping.apply(
                visit.me.actor,
                raw,
                source=source,
                fingerprint=form.text("fingerprint"),
                despite_faults=form.text("skip") == "yes",
            )
        except MailError as error:
            form.wrong("list", error.public)
            return await self._show(visit, form)
        says = f"Done: {len(diff.added)} new, {len(diff.changed)} renewed, {len(diff.removed)} removed."
        return visit.go("/admin/secure-domains", SaidNote(says))

    async def _show(self, visit: Visit, form: Form) -> Response:
        search, after, now = visit.query("search")[:100], visit.query("after")[:300], self.clock.now()
        found = await self.keeping.page(search=search, after=after, limit=LINES_SHOWN)
        page = visit.page_again if form.errors else visit.page
        return page(
            "admin/register.html",
            title="Secure domains",
            form=form,
            search=search,
            after=after,
            total=found.total,
            lapsed=found.lapsed,
            entries=[
                {
                    "domain": entry.domain.name,
                    "below": entry.match is DomainMatch.SUFFIX,
                    "source": entry.source,
                    "until": _day(entry),
                    "ended": entry.accredited_until <= now,
                }
                for entry in found.entries
            ],
            next_after=found.after,
        )

    def _ask(self, visit: Visit, diff: RegisterDiff, raw: bytes) -> Response:
        return visit.page(
            "admin/register_import.html",
            title="What the list would change",
            source=diff.source,
            added=_lines(diff.added),
            changed=[
                {"domain": after.domain.name, "until": _day(after), "was": _day(before)}
                for before, after in diff.changed[:DIFF_SHOWN]
            ],
            removed=_lines(diff.removed),
            counts={
                "added": len(diff.added),
                "changed": len(diff.changed),
                "removed": len(diff.removed),
                "unchanged": diff.unchanged,
            },
            faults=diff.faults[:DIFF_SHOWN],
            must_skip=any(fault.line for fault in diff.faults),
            is_empty=diff.is_empty,
            shown=DIFF_SHOWN,
            fingerprint=diff.fingerprint,
            packed=b64encode(zlib.compress(raw, 9)).decode(),
        )


def _door(
    path: str, method: str, name: str, enter: Callable[[Visit], Awaitable[Response]], *, takes_files: bool = False
) -> Door:
    # The register is the whole service's: of an organisation's people only global administrators may (access.MATRIX).
    return Door(
        path=path,
        method=method,
        name=name,
        enter=enter,
        verb=Verb.SECURE_DOMAIN_EDIT,
        on=On.ORGANISATION,
        takes_files=takes_files,
    )


def _lines(entries: Sequence[SecureDomain]) -> list[Mapping[str, object]]:
    return [{"domain": entry.domain.name, "until": _day(entry)} for entry in entries[:DIFF_SHOWN]]


def _day(entry: SecureDomain) -> str:
    return f"{entry.accredited_until.day} {entry.accredited_until:%B %Y}"


def _unpacked(packed: str) -> bytes:
    """What `_ask` packed. Raises Malformed for anything else, however large it would become."""
    try:
        reader = zlib.decompressobj()
        raw = reader.decompress(b64decode(packed, validate=True), LIST_MAX + 1)
    except (NotBase64, ValueError, zlib.error):
        raw = b""
    if not raw or len(raw) > LIST_MAX:
        raise Malformed("The list did not come back as it was shown. Please choose the file again.")
    return raw
