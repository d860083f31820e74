"""Thunderbird, without a window, signs in over TLS and reads: what most people at a practice would use.

Driven by Marionette, the remote control built into it: JSON over a socket.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes.ports import free_ports
from tests.fakes.running_service import RunningService, message, short_home

pytestmark = [pytest.mark.peer, pytest.mark.slow]

# In Thunderbird itself: trust our authority, make an account, fetch the inbox, and tell its subjects and one text.
READ = """
const {setTimeout} = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const [authority, user, password, port, wanted, done] = arguments;
const pause = () => new Promise((resolve) => setTimeout(resolve, 500));
(async () => {
    Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(authority, "C,,");
    const server = MailServices.accounts.createIncomingServer(user, "localhost", "imap");
    server.port = port;
    server.socketType = Ci.nsMsgSocketType.SSL;
    server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
    server.password = password;
    server.valid = true;
    const identity = MailServices.accounts.createIdentity();
    identity.email = user;
    const account = MailServices.accounts.createAccount();
    account.addIdentity(identity);
    account.incomingServer = server;
    let window = null;
    while (!(window = Services.wm.getMostRecentWindow("mail:3pane"))) await pause();
    const msgWindow = window.msgWindow || MailServices.mailSession.topmostMsgWindow;
    server.performExpand(msgWindow);
    let inbox = null, headers = [], wrong = "";
    for (let tries = 0; tries < 300 && headers.length < wanted; tries++) {
        await pause();
        inbox = server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
        try {
            // The first looks may come before the folders are known.
            if (server.rootFolder.descendants.length > 3) inbox.updateFolder(msgWindow);
            headers = [...inbox.messages];
        } catch (error) { wrong = String(error); }
    }
    if (headers.length < wanted) throw headers.length + " messages: " + wrong;
    const folders = server.rootFolder.descendants.map((folder) => folder.URI.split("localhost/")[1]);
    const uri = inbox.getUriForMsg(headers[headers.length - 1]);
    const text = await new Promise((resolve, reject) => {
        let all = "";
        MailServices.messageServiceFromURI(uri).streamMessage(uri, {
            QueryInterface: ChromeUtils.generateQI(["nsIStreamListener", "nsIRequestObserver"]),
            onStartRequest() {},
            onDataAvailable(request, stream, offset, count) {
                const reader = Cc["@mozilla.org/scriptableinputstream;1"].createInstance(Ci.nsIScriptableInputStream);
                reader.init(stream);
                all += reader.read(count);
            },
            onStopRequest(request, status) { status == 0 ? resolve(all) : reject("stream " + status.toString(16)); },
        }, null, null, false, "", false);
    });
    return {subjects: headers.map((header) => header.mime2DecodedSubject), folders, text};
})().then((told) => done(told), (error) => done({error: String(error) + " " + (error.stack || "")}));
"""


class Marionette:
    """The remote control's protocol: `length:[0, number, command, parameters]`, and the same back."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=300)
        self._number = 0
        self._message()  # its greeting

    def ask(self, command: str, **parameters: Any) -> Any:
        self._number += 1
        text = json.dumps([0, self._number, command, parameters])
        self._socket.sendall(f"{len(text)}:{text}".encode())
        _, _, error, result = self._message()
        assert error is None, error
        return result

    def _message(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            octet = self._socket.recv(1)
            assert octet, "Thunderbird has gone"
            length += octet
        wanted, octets = int(length[:-1]), b""
        while len(octets) < wanted:
            octets += self._socket.recv(wanted - len(octets))
        return json.loads(octets)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def thunderbird() -> Iterator[Marionette]:
    program = shutil.which("thunderbird")
    if program is None:
        pytest.skip("Thunderbird is not on this machine (Debian: apt-get install thunderbird)")
    home = short_home()
    [port] = free_ports(1)
    (home / "profile").mkdir()
    preferences = {
        "marionette.port": port,
        "mail.provider.suppress_dialog_on_startup": True,
        "mail.spotlight.firstRunDone": True,
        "mailnews.start_page.enabled": False,
        "app.update.enabled": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "toolkit.telemetry.enabled": False,
        "network.captive-portal-service.enabled": False,
        "mail.biff.show_alert": False,
        "mail.rights.version": 1,
    }
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
    (home / "profile/user.js").write_text("\n".join(lines))
    environment = {**os.environ, "HOME": str(home), "MOZ_HEADLESS": "1"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile", str(home / "profile")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        control = None
        deadline = time.monotonic() + 180
        while control is None:
            assert process.poll() is None, (home / "log").read_text("utf-8", "replace")
            assert time.monotonic() < deadline, (home / "log").read_text("utf-8", "replace")
            with contextlib.suppress(OSError):
                control = Marionette(port)
            time.sleep(0.2)
        yield control
        control.close()
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        if process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(home, ignore_errors=True)


def test_thunderbird_signs_in_over_tls_and_reads(service: RunningService, thunderbird: Marionette) -> None:
    account = service.accounts["tom.bird"]
    service.deliver(message("First for Thunderbird"), account.address)
    service.deliver(message("Second for Thunderbird", "A line that Thunderbird shows"), account.address)
    authority = "".join(service.ca_file.read_text().splitlines()[1:-1])
    thunderbird.ask("WebDriver:NewSession", capabilities={})
    thunderbird.ask("Marionette:SetContext", value="chrome")
    thunderbird.ask("WebDriver:SetTimeouts", script=180_000)
    arguments = [authority, account.address, account.app_password, service.ports["imaps"], 2]
    told = thunderbird.ask("WebDriver:ExecuteAsyncScript", script=READ, args=arguments)["value"]
    assert "error" not in told, told
    assert {"First for Thunderbird", "Second for Thunderbird"} <= set(told["subjects"])
    assert "A line that Thunderbird shows" in told["text"]
    assert any(name.startswith("Sent") for name in told["folders"]), told["folders"]
