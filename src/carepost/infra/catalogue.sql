-- What a database holds, as lines of text. Each statement gives one column; `catalogue.py` sorts and joins them.

-- schemas --
-- Every schema of ours.
SELECT 'schema ' || n.nspname || coalesce(' comment ' || quote_literal(obj_description(n.oid, 'pg_namespace')), '')
  FROM pg_namespace AS n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> 'public';

-- relations --
-- Tables, views and sequences, with row-level security and storage options. schema_version is migrate's, and in no migration.
SELECT format('%s %s.%s persistence=%s rls=%s forced=%s options=%s comment=%L',
              CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                             WHEN 'm' THEN 'materialised view' WHEN 'S' THEN 'sequence' ELSE c.relkind::text END,
              n.nspname, c.relname, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
              (SELECT string_agg(option, ',' ORDER BY option) FROM unnest(c.reloptions) AS option),
              obj_description(c.oid, 'pg_class'))
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relname <> 'schema_version';

-- columns --
-- Every column, in no order: a column added later must equal one written in place.
SELECT format('column %s.%s.%s %s null=%s default=%s identity=%s generated=%s storage=%s compression=%s comment=%L',
              n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
              pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attstorage, a.attcompression,
              col_description(c.oid, a.attnum))
  FROM pg_attribute AS a
  JOIN pg_class AS c ON c.oid = a.attrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm')
   AND c.relname <> 'schema_version';

-- constraints --
-- Primary, unique, foreign and check constraints.
SELECT format('constraint %s.%s.%s %s validated=%s', n.nspname, c.relname, k.conname,
              pg_get_constraintdef(k.oid), k.convalidated)
  FROM pg_constraint AS k
  JOIN pg_class AS c ON c.oid = k.conrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relname <> 'schema_version' AND k.contype <> 'n';

-- indexes --
-- Every index.
SELECT format('index %s valid=%s', pg_get_indexdef(i.indexrelid), i.indisvalid)
  FROM pg_index AS i
  JOIN pg_class AS c ON c.oid = i.indrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relname <> 'schema_version';

-- policies --
-- Row-level security, word for word.
SELECT format('policy %s.%s.%s %s %s to=%s using=%s check=%s', n.nspname, c.relname, p.polname, p.polcmd,
              CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
              (SELECT string_agg(CASE role WHEN 0 THEN 'public' ELSE role::regrole::text END, ',' ORDER BY role::regrole::text)
                 FROM unnest(p.polroles) AS role),
              pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  FROM pg_policy AS p
  JOIN pg_class AS c ON c.oid = p.polrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';

-- functions --
-- Functions and procedures, with their text.
SELECT format('function %s comment=%L', pg_get_functiondef(f.oid), obj_description(f.oid, 'pg_proc'))
  FROM pg_proc AS f JOIN pg_namespace AS n ON n.oid = f.pronamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND f.prokind IN ('f', 'p');

-- triggers --
-- Triggers of ours, not those of foreign keys.
SELECT format('trigger %s enabled=%s', pg_get_triggerdef(t.oid), t.tgenabled)
  FROM pg_trigger AS t
  JOIN pg_class AS c ON c.oid = t.tgrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT t.tgisinternal;

-- views --
-- What views show.
SELECT format('view %s.%s as %s', n.nspname, c.relname, pg_get_viewdef(c.oid))
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('v', 'm');

-- sequences --
-- How sequences count.
SELECT format('sequence %s.%s %s from %s by %s in %s..%s cycle=%s', n.nspname, c.relname,
              format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle)
  FROM pg_sequence AS s
  JOIN pg_class AS c ON c.oid = s.seqrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';

-- types --
-- Enumerations and domains.
SELECT format('type %s.%s %s %s', n.nspname, t.typname, t.typtype,
              coalesce((SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)
                          FROM pg_enum AS e WHERE e.enumtypid = t.oid),
                       format_type(t.typbasetype, t.typtypmod)))
  FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND t.typtype IN ('e', 'd');

-- relation_grants --
-- Who may do what with a relation, but its owner.
SELECT format('grant %s on %s to %s', string_agg(g.privilege_type, ',' ORDER BY g.privilege_type), c.oid::regclass,
              CASE g.grantee WHEN 0 THEN 'public' ELSE g.grantee::regrole::text END)
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 CROSS JOIN aclexplode(c.relacl) AS g
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relname <> 'schema_version' AND g.grantee <> c.relowner
 GROUP BY c.oid, g.grantee;

-- column_grants --
-- Who may do what with a column.
SELECT format('grant %s on column %s.%s to %s', string_agg(g.privilege_type, ',' ORDER BY g.privilege_type),
              c.oid::regclass, a.attname, CASE g.grantee WHEN 0 THEN 'public' ELSE g.grantee::regrole::text END)
  FROM pg_attribute AS a
  JOIN pg_class AS c ON c.oid = a.attrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 CROSS JOIN aclexplode(a.attacl) AS g
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND a.attnum > 0 AND NOT a.attisdropped
 GROUP BY c.oid, a.attname, g.grantee;

-- function_grants --
-- Who may run a function: everybody, unless that was revoked.
SELECT format('grant %s on function %s to %s', string_agg(g.privilege_type, ',' ORDER BY g.privilege_type),
              f.oid::regprocedure, CASE g.grantee WHEN 0 THEN 'public' ELSE g.grantee::regrole::text END)
  FROM pg_proc AS f
  JOIN pg_namespace AS n ON n.oid = f.pronamespace
 CROSS JOIN aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS g
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND g.grantee <> f.proowner
 GROUP BY f.oid, g.grantee;

-- schema_grants --
-- Who may look into a schema.
SELECT format('grant %s on schema %s to %s', string_agg(g.privilege_type, ',' ORDER BY g.privilege_type),
              n.nspname, CASE g.grantee WHEN 0 THEN 'public' ELSE g.grantee::regrole::text END)
  FROM pg_namespace AS n CROSS JOIN aclexplode(n.nspacl) AS g
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND g.grantee <> n.nspowner
 GROUP BY n.nspname, g.grantee;
