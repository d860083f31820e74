"""PURE. What taking a message back came to, as a file for a breach report (R148, R201).

Promises
    One line a recipient, with what happened and when it had been opened; the replies that quote it after them.
    No cell begins a formula: a spreadsheet shows what is written.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from carepost.base.errors import Malformed
from carepost.gateway.out.outgoing import OutgoingRow, Recall, RecallReport
from carepost.web.words import long_time
from carepost.web.writing.pages import STATES

_REPORT_MAX = 400_000
_HEAD = ("Recipient", "Result", "What it means", "Opened before", "Where it stands now")


@dataclass(frozen=True, slots=True)
class _Line:
    seq: int
    result: Recall
    says: str
    opened: str


def packed(report: RecallReport, *, at: datetime, zone: tzinfo) -> str:
    """What the page of the result carries, so that the file can be made of it: the mailboxes have changed since."""
    lines = [
        (one.seq, one.result.value, one.says, long_time(one.opened_at.astimezone(zone)) if one.opened_at else "")
        for one in report.results
    ]
    quoted = [(str(one.trace), long_time(one.at.astimezone(zone))) for one in report.quoted]
    return json.dumps({"at": long_time(at.astimezone(zone)), "lines": lines, "quoted": quoted})


def as_csv(row: OutgoingRow, carried: str, *, by: str) -> bytes:
    """The file. Addresses are those of the message as it is kept. Raises Malformed for what `packed` did not make."""
    at, lines, quoted = _unpacked(carried)
    recipients = {one.seq: one for one in row.recipients}
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\r\n")
    write.writerow(["Message", _cell(row.subject or "No subject")])
    write.writerow(["Reference", str(row.trace)])
    write.writerow(["Taken back", _cell(at), "by", _cell(by)])
    write.writerow([])
    write.writerow(_HEAD)
    for line in lines:
        one = recipients.get(line.seq)
        if one is None:
            raise Malformed("The result did not come back as it was shown.")
        cells = (str(one.address), line.result.value, line.says, line.opened, STATES[one.state])
        write.writerow([_cell(cell) for cell in cells])
    if quoted:
        write.writerow([])
        write.writerow(["Replies of our own people that quote it", "When"])
        for trace, when in quoted:
            write.writerow([_cell(trace), _cell(when)])
    # A byte-order mark: without it a spreadsheet takes UTF-8 for something else.
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _unpacked(carried: str) -> tuple[str, Sequence[_Line], Sequence[tuple[str, str]]]:
    wrong = Malformed("The result did not come back as it was shown. Take the message back once more.")
    if len(carried) > _REPORT_MAX:
        raise wrong
    try:
        read: Mapping[str, object] = json.loads(carried)
        lines = [_Line(int(seq), Recall(result), str(says), str(opened)) for seq, result, says, opened in read["lines"]]  # type: ignore[attr-defined]
        quoted = [(str(trace), str(when)) for trace, when in read["quoted"]]  # type: ignore[attr-defined]
        return str(read["at"]), lines, quoted
    except (ValueError, KeyError, TypeError) as error:
        raise wrong from error


def _cell(text: str) -> str:
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
