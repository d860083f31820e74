"""Every table has a tenant or a reason; the catalogue itself is asked. T4."""

from collections.abc import Iterator

import psycopg
import pytest

# Tables without an organisation_id, each with the reason why row-level security has nothing to say about it.
NO_ORGANISATION = {
    "public.schema_version": "two numbers about the schema; no organisation's data",
    "public.organisation": "the list of organisations itself: which exist is no secret among them",
    "public.mail_domain": "asked before anybody knows whose mail it is; domains are published in DNS anyway",
    "public.secure_domain": "one register for the whole service (R102)",
    "public.address_route": "the door must find out whose an address is before it can act for them; an address, no name",
    "public.directory_entry": "one directory for the whole service (R147): name, role and address, as a telephone book",
    "public.directory_word": "the words of that directory",
    "public.reply_storm": "a conversation crosses organisations (R72); a keyed hash and counts, no address",
    "public.sign_in_source": "failures by network source, before it is known who signs in; holds no person",
    "public.revocation": "ids only, read by every process within seconds to end sessions; tells nothing of their owners",
    "public.aup_version": "the acceptable use policy is the service's, and public",
    "public.outgoing_due": "numbers and times of what waits to be released, asked before it is known for whom to act",
    "public.arrival": "marks that mail has come for a mailbox that acts by itself: numbers and times, asked as above",
    "public.tls_exception": "the operator's own list for the whole service, as the register (R107)",
    "public.sts_policy": "what other domains publish about their mail hosts; domains sealed, no organisation's data",
    "public.tls_result": "counts of the service's own connections, for reports; domains and hosts sealed",
    "public.tls_report_done": "which day of which domain (a keyed hash) has been reported",
    "public.portal_link": "random numbers, asked before it is known whose message a link is about",
    "public.portal_budget": "keyed hashes of networks and addresses with counts, over all organisations",
    "public.audit_checkpoint": "signed notes over all chains: hashes and counts, no events",
}
# Unique keys of tenant tables that do not lead with the organisation or the mailbox, each with the reason why
# "already taken" tells another organisation nothing it may not know.
KEY_WITHOUT_TENANT: dict[str, str] = {}

RELATIONS = """
SELECT n.nspname || '.' || c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.oid,
       EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'organisation_id' AND NOT a.attisdropped)
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
 ORDER BY 1
"""


@pytest.fixture
def catalogue(superuser_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(superuser_dsn) as connection:
        yield connection


def test_every_table_has_an_organisation_or_a_reason(catalogue: psycopg.Connection) -> None:
    tables = [row for row in catalogue.execute(RELATIONS) if row[1] in "rp"]
    assert len(tables) > 1
    without = {name for name, _, _, _, _, tenant in tables if not tenant}
    assert without - NO_ORGANISATION.keys() == set()
    assert NO_ORGANISATION.keys() - without == set(), "an exemption that is no longer needed"


def test_every_tenant_table_forces_row_level_security_on_reading_and_writing(catalogue: psycopg.Connection) -> None:
    wrong = []
    for name, kind, enabled, forced, oid, tenant in catalogue.execute(RELATIONS).fetchall():
        if kind not in "rp" or not tenant:
            continue
        policies = catalogue.execute(
            "SELECT pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid), polcmd, polname "
            "  FROM pg_policy WHERE polrelid = %s",
            [oid],
        ).fetchall()
        if not (enabled and forced and policies):
            wrong.append(f"{name}: row-level security is not enabled, not forced, or has no policy")
        for using, check, command, policy in policies:
            reads, writes = command in ("r", "w", "d", "*"), command in ("a", "w", "*")
            if reads and "current_setting" not in (using or ""):
                wrong.append(f"{name}: {policy} lets rows be seen without regard to the organisation")
            if writes and "current_setting" not in (check or ""):
                wrong.append(f"{name}: {policy} lets rows be written without regard to the organisation")
    assert wrong == []


# Policies beside `own_organisation`, each with the reason why it shows rows of more than one organisation.
SEEN_ACROSS = {
    "delivery_turn.taking_turns": "the queue's turns of all organisations, taken in one statement by who says so",
    "delivery_turn.taking_turns_seen": "the same: ids, times and keyed hashes, nothing that is content",
}


def test_no_policy_shows_rows_of_other_organisations_without_a_reason(catalogue: psycopg.Connection) -> None:
    policies = catalogue.execute(
        "SELECT polrelid::regclass::text || '.' || polname, pg_get_expr(polqual, polrelid) FROM pg_policy"
    ).fetchall()
    assert len(policies) > 10
    wider = {name for name, using in policies if "carepost.organisation" not in (using or "")}
    assert wider - SEEN_ACROSS.keys() == set()
    assert SEEN_ACROSS.keys() - wider == set(), "a policy that is no longer there"


def test_every_unique_key_of_a_tenant_table_leads_with_the_tenant(catalogue: psycopg.Connection) -> None:
    """A unique key without the tenant answers "does somebody else have this?"."""
    keys = catalogue.execute(
        """
        SELECT i.indexrelid::regclass::text, a.attname,
               (SELECT ca.attidentity <> '' FROM pg_attribute AS ca WHERE ca.attrelid = i.indrelid AND ca.attnum = i.indkey[0]) AS made_here
          FROM pg_index AS i
          JOIN pg_class AS c ON c.oid = i.indrelid
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
          LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indisunique AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
           AND EXISTS (SELECT FROM pg_attribute AS t WHERE t.attrelid = c.oid AND t.attname = 'organisation_id' AND NOT t.attisdropped)
        """
    ).fetchall()
    # A key that the database counts up by itself can't be asked about: nobody chooses its value.
    leading = {
        name for name, column, counted in keys if column not in ("organisation_id", "mailbox_id") and not counted
    }
    assert leading - KEY_WITHOUT_TENANT.keys() == set()
    assert KEY_WITHOUT_TENANT.keys() - leading == set(), "an exemption that is no longer needed"


def test_there_is_no_way_around_row_level_security(catalogue: psycopg.Connection) -> None:
    materialised = [row[0] for row in catalogue.execute(RELATIONS) if row[1] in "mf"]
    assert materialised == []
    views = catalogue.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'v' AND relnamespace::regnamespace::text !~ '^pg_|^information' "
        "   AND NOT coalesce(reloptions @> ARRAY['security_invoker=true'], false)"
    ).fetchall()
    assert views == []
    definers = catalogue.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef AND pronamespace::regnamespace::text !~ '^pg_|^information'"
    ).fetchall()
    assert definers == []


def test_the_program_is_neither_owner_nor_exempt(catalogue: psycopg.Connection) -> None:
    roles = catalogue.execute(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname ~ '^carepost_' ORDER BY 1"
    ).fetchall()
    assert roles == [
        (name, False, False, False, False) for name in ("carepost_app", "carepost_owner", "carepost_relay")
    ]
    owned = catalogue.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relowner IN ('carepost_app'::regrole, 'carepost_relay'::regrole)"
    ).fetchall()
    assert owned == []
    memberships = catalogue.execute(
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member IN ('carepost_app'::regrole, 'carepost_relay'::regrole)"
    ).fetchall()
    assert memberships == []


# What the role that faces strangers may read of the bytes we keep: public halves of keys, and fingerprints.
RELAY_READS_BYTES = {
    "audit_head.hash": "the chain's head, to append to it",
    "mailbox.intake_public": "what it seals to",
    "keystore.organisation_key.intake_public": "what it seals to",
}
RELAY_READS_NOTHING_OF = {
    "person",
    "credential",
    "past_password",
    "totp_factor",
    "session",
    "sign_in_ticket",
    "app_password",
    "known_device",
    "object",
    "search_segment",
    "keystore.object_key",
    "keystore.mailbox_key",
    "audit_event",
}


def test_the_role_that_faces_strangers_can_read_no_key_no_mail_and_no_secret(catalogue: psycopg.Connection) -> None:
    readable = catalogue.execute(
        """
        SELECT c.oid::regclass::text, a.attname, format_type(a.atttypid, NULL)
          FROM pg_attribute AS a
          JOIN pg_class AS c ON c.oid = a.attrelid
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v')
           AND a.attnum > 0 AND NOT a.attisdropped
           AND has_column_privilege('carepost_relay', c.oid, a.attnum, 'SELECT')
        """
    ).fetchall()
    assert {
        f"{table}.{column}" for table, column, kind in readable if kind == "bytea"
    } - RELAY_READS_BYTES.keys() == set()
    assert {table for table, _, _ in readable} & RELAY_READS_NOTHING_OF == set()
    existing = {row[0] for row in catalogue.execute("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'")}
    assert RELAY_READS_NOTHING_OF - existing == set(), "a table that has another name now"


def test_nobody_can_change_or_delete_what_was_recorded(catalogue: psycopg.Connection) -> None:
    """A1, by grant."""
    able = catalogue.execute(
        """
        SELECT role, privilege
          FROM unnest(ARRAY['carepost_app', 'carepost_relay']) AS role,
               unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS privilege
         WHERE has_table_privilege(role, 'audit_event', privilege)
        """
    ).fetchall()
    assert able == []


def test_nothing_is_granted_to_everybody(catalogue: psycopg.Connection) -> None:
    public = catalogue.execute(
        "SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace, aclexplode(c.relacl) AS g "
        " WHERE g.grantee = 0 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    ).fetchall()
    assert public == []
