"""docs/performance.md from the measured figures. What was not measured says so; nothing here is an estimate."""

import math
from pathlib import Path
from typing import Any

from bench.results import load

PAGE = Path("docs/performance.md")
_NOTES = Path(__file__).with_name("notes.md")
_NOT_MEASURED = "not measured"

_HEAD = """# Performance

Written by `make bench` (`.venv/bin/python -m bench`); measured, never estimated. Again, in a few minutes and with rougher
figures: `python -m bench --quick`; one section: `--only smtp`. Everything runs in private instances on loopback.
The peers are started by the scripts in the folder that `CAREPOST_PEERS` names, as root; without them their rows are
missing. Compare rows of one table, which were measured in one run on one machine; absolute figures belong to the machine.
"""


def write() -> None:
    """Put the page together from whatever sections have been measured."""
    sections = [_smtp(), _outbound(), _decision(), _imap(), _web(), _portal(), _memory()]
    notes = _NOTES.read_text() if _NOTES.exists() else ""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join([_HEAD, *sections, notes]).rstrip() + "\n")
    print(f"written: {PAGE}", flush=True)


def _smtp() -> str:
    found = load("smtp")
    title = "## Mail in: from accepting to visible\n"
    if found is None:
        return f"{title}\n{_NOT_MEASURED}\n"
    lines = [
        title,
        (
            f"Twenty connections over twenty mailboxes, {found['messages']} messages a round, {found['rounds']} rounds in turn, "
            f"each with letters of its own (mean {found['mean_octets'] / 1000:.0f} kB: of fifty thirty short, fifteen with a "
            "document of 100 to 500 kB, four of 1 to 5 MB, one invitation), medians. Every letter counts until it can be seen over "
            f"IMAP. The last columns are an open loop of {found['paced_rate']:g} messages a second, from the moment a message was due "
            "until it was seen. CPU is that of all processes of the chain, PostgreSQL and clamd included; "
            "the load generator and other programs share the same cores (column “others”)."
        ),
        "",
        (
            "Ours: the whole inbound gateway (SPF, DKIM, DMARC, ARC against a table of names, archives, documents, content, policy cards), "
            "each message sealed, `fsync` on, audit on, one relay worker a core. clamd has 100,000 hashes and 20,000 patterns of its own making."
        ),
        "",
        "| chain | messages/s | CPU ms a message | at 5/s p50 | at 5/s p99 | DATA to 250 p50 / p99 (20 connections) | peak memory (PSS) | others' CPUs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    contenders: dict[str, Any] = found["contenders"]
    for name, row in contenders.items():
        lines.append(
            f"| {name} | {_n(row['messages_a_second'], 1)} | {_n(row['cpu_ms_a_message'], 1)} | {_n(row['paced_visible_p50_ms'])} ms "
            f"| {_n(row['paced_visible_p99_ms'])} ms | {_n(row['answer_p50_ms'])} / {_n(row['answer_p99_ms'])} ms "
            f"| {_n(row['peak_mib'])} MiB | {_n(row['others_cpus'], 1)} |"
        )
    lines += ["", *_smtp_targets(contenders)]
    if found["peers_left_out"]:
        lines += ["", f"The peers were left out: {found['peers_left_out']}."]
    disk = found["disk"]
    lines += [
        "",
        (
            f"Disk: {_n(disk['octets_a_message'])} octets a message of {_n(disk['raw_octets'])} (database with indexes, audit, verdicts and "
            f"search words; {disk['messages']} messages; write-ahead log not counted)."
        ),
        "",
        _provenance(found),
    ]
    return "\n".join(lines) + "\n"


def _smtp_targets(contenders: dict[str, Any]) -> list[str]:
    ours, peer = contenders.get("Carepost"), contenders.get("peers, full")
    if ours is None or peer is None:
        return []
    lines = []
    for name in ("peers, full", "peers, full, whole message scanned", "peers, bare"):
        if (row := contenders.get(name)) is None:
            continue
        mine = contenders.get("Carepost without clamd", ours) if name == "peers, bare" else ours
        rate = mine["messages_a_second"] / row["messages_a_second"]
        cpu = row["cpu_ms_a_message"] / mine["cpu_ms_a_message"]
        which = "without clamd " if mine is not ours else ""
        lines.append(
            f"- Against “{name}”: ours {which}{rate:.2f} × the messages/s, with 1/{cpu:.2f} of the CPU a message."
        )
    rate = ours["messages_a_second"] / peer["messages_a_second"]
    slower = ours["paced_visible_p99_ms"] - peer["paced_visible_p99_ms"]
    lines.append(f"- First target, 2 × the messages/s of “peers, full”: {_met(rate >= 2)} ({rate:.2f} ×).")
    lines.append(f"- First target, p99 at 5/s no worse than its: {_met(slower <= 0)} ({slower:+.0f} ms).")
    return lines


def _outbound() -> str:
    found = load("outbound")
    title = "## Mail out: from handing in to the next mail host\n"
    if found is None:
        return f"{title}\n{_NOT_MEASURED}\n"
    contenders = found["contenders"]
    lines = [
        title,
        (
            f"Ten connections, {found['messages']} letters of {found['octets'] / 1000:.0f} kB a round, {found['rounds']} rounds in turn, medians; every letter counts "
            "until the next mail host has taken it. Ours: sign-in over TLS, the whole outbound gateway (identifiers, recipients, cards, limits), a sealed copy in Sent, "
            "the queue, two DKIM signatures; no time to undo. Postfix is the measure of relaying alone: it takes from a trusted network, looks at nothing and signs nothing. "
            "The next host is ours, in clear."
        ),
        "",
        "| | " + " | ".join(contenders) + " |",
        "| --- |" + " --- |" * len(contenders),
    ]
    lines += [
        f"| {key} | " + " | ".join(_n(row[key], 1) for row in contenders.values()) + " |"
        for key in next(iter(contenders.values()))
    ]
    return "\n".join([*lines, "", _provenance(found)]) + "\n"


def _decision() -> str:
    found = load("decision")
    title = "## Deciding about what goes out\n"
    if found is None:
        return f"{title}\n{_NOT_MEASURED}\n"
    octets = found["octets"]
    lines = [
        title,
        (
            f"{found['letters']} letters of each kind about made-up patients, one after another: text alone ({octets['text'] / 1000:.1f} kB), and the same with a "
            f"docx, an xlsx of 25 patients and a pdf ({octets['files'] / 1000:.0f} kB). “Considered” is what deciding adds: structure, files opened, identifiers, recipients, "
            "limits, cards; by itself on a real database, for a recipient outside. “DATA to 250” is the whole answer on port 465, for a colleague, with sealing and COMMIT. No clamd."
        ),
        "",
        "| | p50 | p95 | p99 | CPU of the process |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in found["rows"].items():
        cpu = f"{_n(row['cpu_ms'], 1)} ms" if row["cpu_ms"] else ""
        lines.append(
            f"| {name} | {_n(row['p50_ms'], 1)} ms | {_n(row['p95_ms'], 1)} ms | {_n(row['p99_ms'], 1)} ms | {cpu} |"
        )
    added = found["rows"]["considered, docx, xlsx and pdf inside"]["p95_ms"]
    lines += [
        "",
        f"Target, decision time added a message, p95 at most 50 ms with docx, xlsx and pdf inside: {_met(added <= 50)} ({added:.1f} ms).",
        "",
        _provenance(found),
    ]
    return "\n".join(lines) + "\n"


def _imap() -> str:
    found = load("imap")
    title = "## One large mailbox over IMAP\n"
    if found is None:
        return f"{title}\n{_NOT_MEASURED}\n"
    contenders = found["contenders"]
    lines = [
        title,
        (
            f"{found['messages']:,} messages of {found['filling']['raw_octets'] / 1000:.0f} kB in one folder, warm, medians. Ours over TLS and sealed; "
            "Dovecot in clear, its index and cache built before."
        ),
        "",
        "| | " + " | ".join(contenders) + " |",
        "| --- |" + " --- |" * len(contenders),
    ]
    for key in next(iter(contenders.values())):
        cells = [_n(row[key], 1) if key in row else _NOT_MEASURED for row in contenders.values()]
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    filling = found["filling"]
    lines += [
        "",
        (
            f"Search index: {_n(filling['folded_a_second'])} messages/s folded, {_n(filling['index_octets_a_message'])} sealed octets a message. "
            f"Sealing and storing in bulk: {_n(filling['filled_a_second'])} messages/s on one core."
        ),
        "",
        _provenance(found),
    ]
    return "\n".join(lines) + "\n"


def _web() -> str:
    found = load("web")
    title = "## Pages\n"
    if found is None:
        return f"{title}\n{_NOT_MEASURED}\n"
    lines = [
        title,
        f"A mailbox of {found['messages']:,} messages, {found['requests']} requests over one connection, signed in.",
        "",
        "| page | p50 | p95 | p99 | CPU a page, PostgreSQL included | size |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in found["pages"].items():
        lines.append(
            f"| {name} | {_n(row['p50_ms'], 1)} ms | {_n(row['p95_ms'], 1)} ms | {_n(row['p99_ms'], 1)} ms | {_n(row.get('cpu_ms', math.nan), 1)} ms | {row['octets'] / 1000:.0f} kB |"
        )
    inbox = found["pages"]["the inbox page"]["p95_ms"]
    # The target is for a mailbox of 100,000: a smaller one says nothing of it.
    judged = _met(inbox < 50) if found["messages"] >= 100_000 else "not judged by so small a mailbox"
    lines += [
        "",
        f"First target, the inbox page's p95 under 50 ms with 100,000 messages: {judged}.",
        "",
        _provenance(found),
    ]
    return "\n".join(lines) + "\n"


def _portal() -> str:
    found = load("portal")
    title = "## The page of a secure message\n"
    if found is None:
        return f"{title}\n{_NOT_MEASURED}\n"
    lines = [
        title,
        (
            f"A letter of {found['octets'] / 1000:.0f} kB with a docx, an xlsx and a pdf, opened with the code from the mail; {found['requests']} requests over one connection "
            "against the running service."
        ),
        "",
        "| page | p50 | p95 | p99 | CPU a page, PostgreSQL included | size |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in found["pages"].items():
        lines.append(
            f"| {name} | {_n(row['p50_ms'], 1)} ms | {_n(row['p95_ms'], 1)} ms | {_n(row['p99_ms'], 1)} ms | {_n(row['cpu_ms'], 1)} ms | {row['octets'] / 1000:.0f} kB |"
        )
    page = found["pages"]["the message"]["p95_ms"]
    lines += [
        "",
        f"Target, the message's page p95 at most 50 ms: {_met(page <= 50)} ({page:.1f} ms).",
        "",
        _provenance(found),
    ]
    return "\n".join(lines) + "\n"


def _memory() -> str:
    found = load("memory")
    title = "## Memory at rest\n"
    if found is None:
        return f"{title}\n{_NOT_MEASURED}\n"
    more = found["with_clients_mib"] - found["idle_mib"]
    parts = ", ".join(f"{name} {_n(size)} MiB" for name, size in found["parts"].items())
    judged = _met(more < 150) if found["clients"] >= 200 else "not judged by so few"
    lines = [
        title,
        "`carepost serve` with its embedded PostgreSQL, one relay, one access and one delivery process, PSS of all processes, 15 s after the start.",
        "",
        "| | MiB | first target |",
        "| --- | --- | --- |",
        f"| idle ({parts}) | {_n(found['idle_mib'])} | under 300: {_met(found['idle_mib'] < 300)} |",
        f"| {found['clients']} idle IMAP clients over TLS, more | {_n(more)} | 200 under 150: {judged} |",
        "",
        _provenance(found),
    ]
    return "\n".join(lines) + "\n"


def _provenance(found: dict[str, Any]) -> str:
    machine = found["machine"]
    return (
        f"*`{found['command']}`, {machine['at']}, commit {machine['commit']}; {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}, Python {machine['python']}; load before saving {machine['load']:.1f}.*"
    )


def _met(yes: bool) -> str:
    return "**met**" if yes else "**missed**"


def _n(value: float, digits: int = 0) -> str:
    return _NOT_MEASURED if math.isnan(value) else f"{value:,.{digits}f}"
