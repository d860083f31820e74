"""Step 8 writes those who are here already into the directory that everybody searches."""

import psycopg

from carepost.infra.migrate import migrate, shipped_migrations

THERE_BEFORE = """
INSERT INTO organisation (id, code, name, kind) VALUES (7, 'A81001', 'Riverside', 'practice'), (8, 'RZ9', 'St Jude''s', 'trust');
SET carepost.organisation = '7';
INSERT INTO person (organisation_id, given_name, family_name, job_title, status) VALUES (7, 'Zoë', 'Müller', 'GP', 'active');
INSERT INTO mailbox (organisation_id, kind, person_id, address, display_name)
SELECT 7, 'personal', id, 'zoe.muller@riverside.example', 'Zoë Müller' FROM person;
INSERT INTO address_route (address, owner_organisation, mailbox_id, kind, state)
SELECT address, 7, id, 'personal', 'accepting' FROM mailbox;
SET carepost.organisation = '8';
INSERT INTO mailbox (organisation_id, kind, address, display_name, not_for_urgent)
VALUES (8, 'shared', 'results@stjudes.example', 'Results', true);
INSERT INTO address_route (address, owner_organisation, mailbox_id, kind, state)
SELECT address, 8, id, 'shared', 'closed' FROM mailbox;
"""


async def test_whoever_was_here_before_is_in_the_directory_and_tenancy_is_forced_again(empty_dsn: str) -> None:
    steps = shipped_migrations()
    await migrate(empty_dsn, migrations=[step for step in steps if step.number < 8])
    with psycopg.connect(empty_dsn, autocommit=True) as owner:
        owner.execute(THERE_BEFORE)
    await migrate(empty_dsn, migrations=steps)
    with psycopg.connect(empty_dsn) as owner:
        entries = owner.execute(
            "SELECT address, name, job, state, not_for_urgent FROM directory_entry ORDER BY 1"
        ).fetchall()
        words = owner.execute("SELECT word FROM directory_word ORDER BY 1").fetchall()
        forced = owner.execute(
            "SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE relname IN ('person', 'mailbox')"
        ).fetchone()
        seen = owner.execute("SELECT count(*) FROM mailbox").fetchone()
    assert entries == [
        ("results@stjudes.example", "Results", "", "gone", True),
        ("zoe.muller@riverside.example", "Zoë Müller", "GP", "open", False),
    ]
    assert [word for (word,) in words] == ["muller", "results", "zoe"]
    assert forced == (True,)
    assert seen == (0,)
