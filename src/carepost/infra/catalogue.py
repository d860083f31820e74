"""What a database really holds, as text that can be compared line by line.

Promises
    Two databases with the same text have the same schemas, tables, columns, types, defaults, constraints, indexes,
    policies, functions, triggers, sequences, comments and grants, whatever the order they were made in.
    Nothing in it is data.

Used by the test that migrations and schema.sql agree, and by `doctor` to show what an operator changed by hand.
"""

import psycopg
from psycopg.conninfo import make_conninfo

# Of every schema but the system's own. schema_version is migrate's, and in no migration.
_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

_QUERIES = (
    f"""
    SELECT 'schema ' || n.nspname || coalesce(' comment ' || quote_literal(obj_description(n.oid, 'pg_namespace')), '')
      FROM pg_namespace AS n WHERE {_OURS} AND n.nspname <> 'public'
    """,
    f"""
    SELECT format('%s %s.%s persistence=%s rls=%s forced=%s options=%s comment=%L',
                  CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                                 WHEN 'm' THEN 'materialised view' WHEN 'S' THEN 'sequence' ELSE c.relkind::text END,
                  n.nspname, c.relname, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
                  (SELECT string_agg(option, ',' ORDER BY option) FROM unnest(c.reloptions) AS option),
                  obj_description(c.oid, 'pg_class'))
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relname <> 'schema_version'
    """,
    f"""
    SELECT format('column %s.%s.%s %s null=%s default=%s identity=%s generated=%s storage=%s compression=%s comment=%L',
                  n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
                  pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attstorage, a.attcompression,
                  col_description(c.oid, a.attnum))
      FROM pg_attribute AS a
      JOIN pg_class AS c ON c.oid = a.attrelid
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
      LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE {_OURS} AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm')
       AND c.relname <> 'schema_version'
    """,
    f"""
    SELECT format('constraint %s.%s.%s %s validated=%s', n.nspname, c.relname, k.conname,
                  pg_get_constraintdef(k.oid), k.convalidated)
      FROM pg_constraint AS k
      JOIN pg_class AS c ON c.oid = k.conrelid
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE {_OURS} AND c.relname <> 'schema_version' AND k.contype <> 'n'
    """,
    f"""
    SELECT format('index %s valid=%s', pg_get_indexdef(i.indexrelid), i.indisvalid)
      FROM pg_index AS i
      JOIN pg_class AS c ON c.oid = i.indrelid
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE {_OURS} AND c.relname <> 'schema_version'
    """,
    f"""
    SELECT format('policy %s.%s.%s %s %s to=%s using=%s check=%s', n.nspname, c.relname, p.polname, p.polcmd,
                  CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
                  (SELECT string_agg(CASE role WHEN 0 THEN 'public' ELSE role::regrole::text END, ',' ORDER BY role::regrole::text)
                     FROM unnest(p.polroles) AS role),
                  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
      FROM pg_policy AS p
      JOIN pg_class AS c ON c.oid = p.polrelid
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE {_OURS}
    """,
    f"""
    SELECT format('function %s comment=%L', pg_get_functiondef(f.oid), obj_description(f.oid, 'pg_proc'))
      FROM pg_proc AS f JOIN pg_namespace AS n ON n.oid = f.pronamespace
     WHERE {_OURS} AND f.prokind IN ('f', 'p')
    """,
    f"""
    SELECT format('trigger %s enabled=%s', pg_get_triggerdef(t.oid), t.tgenabled)
      FROM pg_trigger AS t
      JOIN pg_class AS c ON c.oid = t.tgrelid
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE {_OURS} AND NOT t.tgisinternal
    """,
    f"""
    SELECT format('view %s.%s as %s', n.nspname, c.relname, pg_get_viewdef(c.oid))
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE {_OURS} AND c.relkind IN ('v', 'm')
    """,
    f"""
    SELECT format('sequence %s.%s %s from %s by %s in %s..%s cycle=%s', n.nspname, c.relname,
                  format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle)
      FROM pg_sequence AS s
      JOIN pg_class AS c ON c.oid = s.seqrelid
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE {_OURS}
    """,
    f"""
    SELECT format('type %s.%s %s %s', n.nspname, t.typname, t.typtype,
                  coalesce((SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)
                              FROM pg_enum AS e WHERE e.enumtypid = t.oid),
                           format_type(t.typbasetype, t.typtypmod)))
      FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
     WHERE {_OURS} AND t.typtype IN ('e', 'd')
    """,
    # Grants: on relations, columns, functions and schemas, one line for each grantee.
    f"""
    SELECT format('grant %s on %s to %s', string_agg(g.privilege_type, ',' ORDER BY g.privilege_type), c.oid::regclass,
                  CASE g.grantee WHEN 0 THEN 'public' ELSE g.grantee::regrole::text END)
      FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     CROSS JOIN aclexplode(c.relacl) AS g
     WHERE {_OURS} AND c.relname <> 'schema_version' AND g.grantee <> c.relowner
     GROUP BY c.oid, g.grantee
    """,
    f"""
    SELECT format('grant %s on column %s.%s to %s', string_agg(g.privilege_type, ',' ORDER BY g.privilege_type),
                  c.oid::regclass, a.attname, CASE g.grantee WHEN 0 THEN 'public' ELSE g.grantee::regrole::text END)
      FROM pg_attribute AS a
      JOIN pg_class AS c ON c.oid = a.attrelid
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     CROSS JOIN aclexplode(a.attacl) AS g
     WHERE {_OURS} AND a.attnum > 0 AND NOT a.attisdropped
     GROUP BY c.oid, a.attname, g.grantee
    """,
    f"""
    SELECT format('grant %s on function %s to %s', string_agg(g.privilege_type, ',' ORDER BY g.privilege_type),
                  f.oid::regprocedure, CASE g.grantee WHEN 0 THEN 'public' ELSE g.grantee::regrole::text END)
      FROM pg_proc AS f
      JOIN pg_namespace AS n ON n.oid = f.pronamespace
     CROSS JOIN aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS g
     WHERE {_OURS} AND g.grantee <> f.proowner
     GROUP BY f.oid, g.grantee
    """,
    f"""
    SELECT format('grant %s on schema %s to %s', string_agg(g.privilege_type, ',' ORDER BY g.privilege_type),
                  n.nspname, CASE g.grantee WHEN 0 THEN 'public' ELSE g.grantee::regrole::text END)
      FROM pg_namespace AS n CROSS JOIN aclexplode(n.nspacl) AS g
     WHERE {_OURS} AND g.grantee <> n.nspowner
     GROUP BY n.nspname, g.grantee
    """,
)


async def catalogue(dsn: str) -> str:
    """The whole catalogue of one database, sorted, a line (or a function's text) for each thing."""
    found: list[str] = []
    async with await psycopg.AsyncConnection.connect(make_conninfo(dsn, application_name="carepost")) as connection:
        # Names in full, so that the text does not depend on who looks.
        await connection.execute("SET search_path = pg_catalog")
        for query in _QUERIES:
            cursor = await connection.execute(query)
            found += [str(row[0]) for row in await cursor.fetchall()]
    return "\n".join(sorted(found)) + "\n"
