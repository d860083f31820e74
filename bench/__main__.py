"""`python -m bench`: measure, and write docs/performance.md."""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from bench import report

SECTIONS = ("smtp", "outbound", "decision", "imap", "web", "portal", "memory")


def main() -> None:
    asked = _asked()
    work = asked.work or Path(tempfile.mkdtemp(prefix="carepost-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    work.chmod(0o755)  # the peers and PostgreSQL run as users of their own
    try:
        for section in asked.only:
            began = time.monotonic()
            print(f"{section} ...", flush=True)
            _measure(section, work, quick=asked.quick)
            print(f"{section}: {time.monotonic() - began:.0f} s", flush=True)
    finally:
        if not asked.keep:
            shutil.rmtree(work, ignore_errors=True)
        report.write()


def _measure(section: str, work: Path, *, quick: bool) -> None:
    if section == "smtp":
        from bench import smtp

        smtp.run(work, smtp.QUICK if quick else smtp.FULL)
    elif section == "outbound":
        from bench import outbound

        outbound.run(work, messages=200 if quick else 1_000, rounds=1 if quick else 3)
    elif section == "decision":
        from bench import decision

        decision.run(work, letters=50 if quick else 300)
    elif section == "portal":
        from bench import portal

        portal.run(work)
    elif section == "imap":
        from bench import imap

        imap.run(work, messages=5_000 if quick else 100_000)
    elif section == "web":
        from bench import web

        web.run(work, messages=5_000 if quick else 100_000)
    else:
        from bench import memory

        memory.run(work, clients=50 if quick else 200)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes, for a look; publish only whole runs")
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {','.join(SECTIONS)}; the rest is kept")
    parser.add_argument("--work", type=Path, help="the folder for data; a temporary one by default")
    parser.add_argument("--keep", action="store_true", help="leave the data there")
    asked = parser.parse_args()
    asked.only = [section.strip() for section in asked.only.split(",") if section.strip()]
    if unknown := set(asked.only) - set(SECTIONS):
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    return asked


if __name__ == "__main__":
    main()
