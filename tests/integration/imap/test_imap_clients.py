"""Real clients against the real server, store and TLS: imaplib, IMAPClient, mutt, mbsync."""

import asyncio
import imaplib
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import imapclient
import pytest
from tests.fakes.imap_house import CLINIC, JO, PASSWORD, ImapHouse, imap_house
from tests.fakes.mailboxes import StoreWorld, letter

from carepost.infra.db import Database

Result = TypeVar("Result")


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[ImapHouse]:
    async with imap_house(StoreWorld(database), tmp_path / "tls") as made:
        yield made


async def with_imaplib(house: ImapHouse, work: Callable[[imaplib.IMAP4], Result]) -> Result:
    def session() -> Result:
        client = imaplib.IMAP4_SSL("localhost", house.tls_port, ssl_context=house.client_tls)
        try:
            client.login(JO, PASSWORD)
            return work(client)
        finally:
            client.logout()

    return await asyncio.to_thread(session)


async def with_imapclient(house: ImapHouse, work: Callable[[imapclient.IMAPClient], Result]) -> Result:
    def session() -> Result:
        with imapclient.IMAPClient("localhost", house.tls_port, ssl=True, ssl_context=house.client_tls) as client:
            client.login(JO, PASSWORD)
            return work(client)

    return await asyncio.to_thread(session)


async def deliver(house: ImapHouse, count: int) -> list[bytes]:
    letters = [
        letter(f"Letter {number}", f"Text of letter {number}, pathway {number % 3}.", at=house.store.clock.now())
        for number in range(1, count + 1)
    ]
    for raw in letters:
        await house.store.deliver(raw, house.mailbox)
    return letters


async def test_imaplib_reads_files_and_removes(house: ImapHouse) -> None:
    letters = await deliver(house, 3)

    def work(client: imaplib.IMAP4) -> None:
        assert client.select("INBOX") == ("OK", [b"3"])
        assert client.search(None, "UNSEEN") == ("OK", [b"1 2 3"])
        assert client.uid("SEARCH", "SUBJECT", '"Letter 2"')[1] == [b"2"]
        _, data = client.fetch("2", "(BODY.PEEK[])")
        assert data[0][1] == letters[1]
        _, data = client.fetch("1:*", "(UID RFC822.SIZE)")
        assert data == [b"%d (UID %d RFC822.SIZE %d)" % (n, n, len(letters[n - 1])) for n in (1, 2, 3)]
        assert client.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
        assert client.expunge() == ("OK", [b"1"])
        assert client.append("Drafts", "(\\Draft)", None, b"Subject: x\r\n\r\ny\r\n")[0] == "OK"
        assert client.status("Drafts", "(MESSAGES)")[1] == [b'"Drafts" (MESSAGES 1)']
        assert client.copy("1", "Archive")[0] == "OK"
        assert client.create("Letters/2026")[0] == "OK"
        assert client.rename("Letters/2026", "Letters/Old")[0] == "OK"
        assert client.delete("Letters/Old")[0] == "OK"
        assert client.close()[0] == "OK"

    await with_imaplib(house, work)


async def test_imapclient_reads_structures_moves_and_waits(house: ImapHouse) -> None:
    await deliver(house, 4)

    def work(client: imapclient.IMAPClient) -> None:
        assert client.has_capability("IDLE")
        assert client.namespace()[1] == (("Shared/", "/"),)
        folders = {name: flags for flags, _, name in client.list_folders()}
        assert b"\\Sent" in folders["Sent"]
        assert f"Shared/{CLINIC}/INBOX" in folders
        assert client.find_special_folder(b"\\Trash") == "Bin"
        info = client.select_folder("INBOX")
        assert info[b"EXISTS"] == 4
        fetched = client.fetch([1, 2], ["ENVELOPE", "BODYSTRUCTURE", "FLAGS", "INTERNALDATE"])
        assert fetched[2][b"ENVELOPE"].subject == b"Letter 2"
        assert fetched[2][b"BODYSTRUCTURE"][0] == b"text"
        assert client.add_flags([1], [imapclient.SEEN, "$Forwarded"])[1] == (b"\\Seen", b"$Forwarded")
        assert client.search(["KEYWORD", "$Forwarded"]) == [1]
        assert client.search(["TEXT", "pathway 2"]) == [2]
        client.move([1, 3], "Archive")
        assert client.search() == [2, 4]
        client.create_folder("Überweisungen")
        assert client.folder_exists("Überweisungen")
        client.append("Überweisungen", b"Subject: y\r\n\r\nz\r\n", flags=[imapclient.SEEN])
        assert client.folder_status("Überweisungen", ["MESSAGES", "UNSEEN"]) == {b"MESSAGES": 1, b"UNSEEN": 0}
        client.idle()
        other = imapclient.IMAPClient("localhost", house.tls_port, ssl=True, ssl_context=house.client_tls)
        other.login(JO, PASSWORD)
        other.append("INBOX", b"Subject: new\r\n\r\nnew\r\n")
        assert (3, b"EXISTS") in client.idle_check(timeout=180)
        other.logout()
        client.idle_done()
        client.delete_messages([2])
        client.expunge([2])
        assert client.search() == [4, 5]

    await with_imapclient(house, work)


async def test_starttls_is_needed_before_a_password(house: ImapHouse) -> None:
    def session() -> None:
        client = imaplib.IMAP4("localhost", house.plain_port)
        with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
            client.login(JO, PASSWORD)
        assert client.starttls(house.client_tls)[0] == "OK"
        assert client.login(JO, PASSWORD)[0] == "OK"
        assert client.select("INBOX")[0] == "OK"
        client.logout()

    await asyncio.to_thread(session)


async def test_nothing_sent_in_clear_is_answered_inside_tls(house: ImapHouse) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.plain_port)
    await reader.readline()
    writer.write(b"a1 STARTTLS\r\na2 NOOP\r\n")
    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()


async def test_the_shared_mailbox_is_there(house: ImapHouse) -> None:
    await house.store.deliver(letter("For the clinic", "x", at=house.store.clock.now()), house.clinic)

    def work(client: imaplib.IMAP4) -> None:
        assert client.select(f"Shared/{CLINIC}/INBOX") == ("OK", [b"1"])
        assert client.uid("MOVE", "1", "Archive")[0] == "OK"
        assert client.status("Archive", "(MESSAGES)")[1] == [b'"Archive" (MESSAGES 1)']

    await with_imaplib(house, work)
    assert [mailbox for _, mailbox in house.people.opened_shared] == [house.clinic.id]


MBSYNC = """
IMAPAccount carepost
Host localhost
Port {port}
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {authority}

IMAPStore far
Account carepost

MaildirStore near
Path {maildir}/
Inbox {maildir}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns * !Shared*
Create Both
Expunge Both
SyncState *
"""


def have(program: str) -> str:
    found = subprocess.run(["sh", "-c", f"command -v {program}"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"{program} is not installed (apt-get install {program})")
    return found.stdout.strip()


async def run(*command: str, input_text: str | None = None, home: Path) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        input=input_text,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "TERM": "dumb", "LANG": "C.UTF-8"},
    )


@pytest.mark.peer
async def test_mbsync_keeps_a_maildir_the_same_both_ways(house: ImapHouse, tmp_path: Path) -> None:
    mbsync = have("mbsync")
    letters = await deliver(house, 12)
    maildir = tmp_path / "mail"
    maildir.mkdir()
    config = tmp_path / "mbsyncrc"
    config.write_text(
        MBSYNC.format(port=house.tls_port, user=JO, password=PASSWORD, authority=house.authority, maildir=maildir)
    )

    async def sync() -> None:
        done = await run(mbsync, "-c", str(config), "-a", home=tmp_path)
        assert done.returncode == 0, done.stderr + done.stdout

    await sync()
    near = sorted((maildir / "INBOX").glob("*/*"))
    assert len(near) == 12
    assert {re.sub(rb"X-TUID: .*\n", b"", path.read_bytes().replace(b"\r\n", b"\n")) for path in near} == {
        raw.replace(b"\r\n", b"\n") for raw in letters
    }
    # Here: one read, one thrown away, one written. There: one flagged, one more.
    near[0].rename(maildir / "INBOX" / "cur" / (near[0].name.partition(":")[0] + ":2,S"))
    near[1].rename(maildir / "INBOX" / "cur" / (near[1].name.partition(":")[0] + ":2,T"))
    (maildir / "Drafts" / "new" / "1.2.host").write_bytes(b"Subject: from mbsync\nFrom: a@b.example\n\nhello\n")

    def flag(client: imaplib.IMAP4) -> None:
        client.select("INBOX")
        client.uid("STORE", "9", "+FLAGS", "(\\Flagged)")
        client.append("INBOX", None, None, b"Subject: one more\r\n\r\nx\r\n")

    await with_imaplib(house, flag)
    await sync()

    def look(client: imaplib.IMAP4) -> tuple[bytes, bytes, bytes]:
        client.select("INBOX")
        seen, everything = client.search(None, "SEEN")[1][0], client.search(None, "ALL")[1][0]
        return seen, everything, client.status("Drafts", "(MESSAGES)")[1][0]

    seen, everything, drafts = await with_imaplib(house, look)
    assert len(seen.split()) == 1
    assert len(everything.split()) == 12  # one thrown away, one more
    assert drafts == b'"Drafts" (MESSAGES 1)'
    names = [path.name for path in (maildir / "INBOX").glob("*/*")]
    assert len(names) == 12
    assert sum(1 for name in names if "F" in name.partition(":2,")[2]) == 1
    await sync()  # and nothing is left to do
    assert sorted(names) == sorted(path.name for path in (maildir / "INBOX").glob("*/*"))


@pytest.mark.peer
async def test_mutt_opens_a_folder_reads_flags_and_saves(house: ImapHouse, tmp_path: Path) -> None:
    mutt = have("mutt")
    await deliver(house, 5)
    config = tmp_path / "muttrc"
    config.write_text(
        f"""
set ssl_ca_certificates_file="{house.authority}"
set ssl_verify_host=yes ssl_usesystemcerts=no
set imap_user="{JO}" imap_pass="{PASSWORD}"
set folder="imaps://localhost:{house.tls_port}/" spoolfile="+INBOX"
set header_cache="" message_cachedir="" sleep_time=0 delete=yes quit=yes move=no confirmappend=no mark_old=no
set imap_keepalive=5 beep=no wait_key=no imap_condstore=yes
push "<tag-pattern>~s 'Letter 2'<enter><tag-prefix><save-message>=Archive<enter><first-entry><display-message><exit>\\
<next-entry><next-entry><flag-message><sync-mailbox><quit>"
"""
    )
    done = await run("script", "-qec", f"{mutt} -F {config}", "/dev/null", home=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]

    def look(client: imaplib.IMAP4) -> tuple[bytes, ...]:
        client.select("INBOX")
        archive = client.status("Archive", "(MESSAGES)")[1][0]
        return (
            archive,
            client.uid("SEARCH", "ALL")[1][0],
            client.uid("SEARCH", "SEEN")[1][0],
            client.uid("SEARCH", "FLAGGED")[1][0],
        )

    archive, everything, seen, flagged = await with_imaplib(house, look)
    assert archive == b'"Archive" (MESSAGES 1)'
    assert everything == b"1 3 4 5"
    assert seen == b"1"
    assert len(flagged.split()) == 1


async def test_a_certificate_is_needed_for_implicit_tls(house: ImapHouse) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("localhost", house.tls_port, ssl=ssl.create_default_context())
