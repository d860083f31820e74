"""AUTH on the submission ports: PLAIN and LOGIN as a dialogue of lines, without I/O. RFC 4954, RFC 4616.

Promises
    A secret is in the value that is handed out and nowhere else; no reply repeats what the client said.
    Every line leads to a challenge, credentials or a reply: nothing raises.
"""

from base64 import b64encode
from dataclasses import dataclass, field

from carepost.base.errors import Malformed
from carepost.wire import smtp_replies as replies
from carepost.wire.sasl import Cancelled, PlainCredentials, decode_response, plain
from carepost.wire.smtp_replies import Reply

MECHANISMS = ("PLAIN", "LOGIN")
# Of one answer of LOGIN, once decoded: an address or a secret.
_ANSWER_MAX = 512


@dataclass(frozen=True, slots=True)
class SignIn:
    """A question: is this them? SIGNED_IN says yes."""

    credentials: PlainCredentials = field(repr=False)


@dataclass(slots=True)
class SignInDialogue:
    """One AUTH, from its command to credentials or a refusal."""

    mechanism: str
    _address: str | None = field(default=None, init=False)

    def begin(self, initial: str | None) -> Reply | SignIn:
        """What AUTH itself is answered with. `initial` is the initial response, as base64. RFC 4954 §4."""
        if self.mechanism not in MECHANISMS:
            return replies.MECHANISM_UNKNOWN
        if initial is None:
            return _challenge("" if self.mechanism == "PLAIN" else "Username:")
        return self.read(initial.encode())

    def read(self, line: bytes) -> Reply | SignIn:
        """What a line of the client leads to: a challenge (334), credentials, or a reply that ends it."""
        try:
            answer = decode_response(line)
            return SignIn(plain(answer)) if self.mechanism == "PLAIN" else self._login(answer)
        except Cancelled:
            return replies.SIGN_IN_CANCELLED
        except Malformed:
            return replies.SIGN_IN_MALFORMED

    def _login(self, answer: bytes) -> Reply | SignIn:
        """LOGIN was never a standard; Outlook and many machines that scan and send speak nothing else."""
        try:
            text = answer.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("The answer is not UTF-8.") from error
        if not text or len(text) > _ANSWER_MAX or "\0" in text:
            raise Malformed("The answer is empty, too long or holds a NUL.")
        if self._address is None:
            self._address = text
            return _challenge("Password:")
        return SignIn(PlainCredentials("", self._address, text))


def _challenge(text: str) -> Reply:
    return Reply(334, "", b64encode(text.encode()).decode())
