"""The domain name system of the sample world, as a table (see app/resolving.py)."""

from carepost.mailauth.mta_sts import Mode, StsPolicy
from carepost.ops.demo.world import ORGANISATIONS, OUTSIDE

# RFC 5737: an address that nobody has. Were it this machine's own, SPF would prove whoever tries a forgery from it.
_OURS = "192.0.2.25"


def zone_toml(hostname: str) -> str:
    """Senders outside have SPF; those on the register publish a strict DMARC too; so do our own domains."""
    report_to = f"postmaster@{min(organisation.domain for organisation in ORGANISATIONS)}"
    lines = ["[txt]"]
    for domain, ip, listed in OUTSIDE:
        lines.append(f'"{domain}" = ["v=spf1 ip4:{ip} -all"]')
        lines.append(f'"_dmarc.{domain}" = ["v=DMARC1; p={"reject" if listed else "none"}"]')
    policy = StsPolicy(Mode.TESTING, (hostname.lower(),), 7 * 86_400)  # as the settings' defaults have it
    for organisation in ORGANISATIONS:
        lines.append(f'"_mta-sts.{organisation.domain}" = ["v=STSv1; id={policy.id}"]')
        lines.append(f'"{organisation.domain}" = ["v=spf1 mx -all"]')
        lines.append(f'"_dmarc.{organisation.domain}" = ["v=DMARC1; p=reject; rua=mailto:{report_to}"]')
        lines.append(f'"_smtp._tls.{organisation.domain}" = ["v=TLSRPTv1; rua=mailto:{report_to}"]')
    lines.append("[a]")
    lines.append(f'"{hostname}" = ["{_OURS}"]')
    lines += [f'"mail.{domain}" = ["{ip}"]' for domain, ip, _ in OUTSIDE]
    lines += ["[ptr]", f'"{_OURS}" = ["{hostname}"]']
    lines += [f'"{ip}" = ["mail.{domain}"]' for domain, ip, _ in OUTSIDE]
    lines.append("[mx]")
    lines += [f'"{domain}" = [[10, "mail.{domain}"]]' for domain, _, _ in OUTSIDE]
    lines += [f'"{organisation.domain}" = [[10, "{hostname}"]]' for organisation in ORGANISATIONS]
    return "\n".join(lines) + "\n"
