"""Fetching another domain's MTA-STS policy from its web server. RFC 8461 §3.3.

Promises
    One GET over TLS 1.2 or later, with a certificate valid for `mta-sts.<domain>`: no redirect, no proxy, no cookie, no
    more than 64 KiB, all within one deadline. Everything else is PolicyNotFetched, with the name a report has for it.
    An answer that is cut short is no answer: a policy without its last line could be a weaker one.
    No web server of this machine or its own network is asked on a stranger's word.
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any

import httptools

from carepost.base.address import Domain
from carepost.delivery.hosts import HostPolicy, IpAddress, addresses, may_be_reached
from carepost.delivery.link import ClientTls, Link
from carepost.delivery.sts_policies import PolicyNotFetched
from carepost.mailauth.mta_sts import POLICY_MAX, WELL_KNOWN
from carepost.mailauth.resolver import Resolver, ResolverTrouble
from carepost.mailauth.tls_report import FailureKind

_HEADERS_MAX = 16 * 1024  # octets of the head of an answer; chunks add a little to the body as well


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    seconds: float = 60.0  # RFC 8461 §3.3 suggests a minute, for everything
    connect_seconds: float = 10.0  # one address; there may be another
    port: int = 443
    # Every connection goes there instead: for a sample world on one machine.
    connect_to: tuple[IpAddress, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsPolicyFetcher:
    """`hosts` says which addresses are no stranger's, as for mail."""

    resolver: Resolver
    tls: ClientTls
    hosts: HostPolicy = field(default_factory=HostPolicy)
    policy: FetchPolicy = field(default_factory=FetchPolicy)

    async def fetch(self, domain: Domain) -> bytes:
        host = f"mta-sts.{domain}"
        try:
            async with asyncio.timeout(self.policy.seconds):
                return await self._fetch(host)
        except ssl.SSLCertVerificationError as error:
            raise PolicyNotFetched(
                "The certificate of the policy's web server is not good.", FailureKind.STS_WEBPKI_INVALID
            ) from error
        except ResolverTrouble as error:
            raise _failed("its web server could not be looked up") from error
        except TimeoutError as error:
            raise _failed("its web server did not answer in time") from error
        except OSError as error:
            raise _failed("the connection to its web server broke off") from error

    async def _fetch(self, host: str) -> bytes:
        link = await self._connect(host)
        try:
            await link.start_tls(self.tls.verified, host)
            await link.write(
                f"GET {WELL_KNOWN} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Carepost\r\nAccept: text/plain\r\n"
                "Connection: close\r\n\r\n".encode("ascii")
            )
            answer, read = _Answer(), 0
            while not answer.is_whole:
                octets = await link.read()
                read += len(octets)
                if not octets or read > POLICY_MAX + _HEADERS_MAX:
                    raise _failed("its answer is cut short, or has no end")
                answer.feed(octets)
            return answer.policy()
        finally:
            link.close()

    async def _connect(self, host: str) -> Link:
        where = await addresses(self.resolver, host, self.hosts)
        ips = [ip for ip in where.ips if may_be_reached(ip, self.hosts, fixed=False)]
        failure: OSError = ConnectionRefusedError("it has no address")
        for ip in ips:
            to, port = self.policy.connect_to or (ip, self.policy.port)
            try:
                async with asyncio.timeout(self.policy.connect_seconds):
                    return await Link.connect(to, port)
            except OSError as error:
                failure = error
        raise failure


class _Answer:
    """One answer, as the parser finds its parts."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._type = ""
        self.is_whole = False

    def feed(self, octets: bytes) -> None:
        try:
            self._parser.feed_data(octets)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise _failed("its web server does not speak HTTP") from error

    def policy(self) -> bytes:
        if self._parser.get_status_code() != 200:  # RFC 8461 §3.3: redirects are not followed
            raise _failed("its web server has no policy")
        if self._type.partition(";")[0].strip().lower() != "text/plain":
            raise _failed("its web server sent something else than a text")
        if len(self._body) > POLICY_MAX:
            raise _failed("it is longer than 64 KiB")
        return bytes(self._body)

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self._type = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.is_whole = True


def _failed(why: str) -> PolicyNotFetched:
    return PolicyNotFetched(f"The policy could not be fetched: {why}.", FailureKind.STS_POLICY_FETCH_ERROR)
