-- What belongs to the whole server and so to no migration: the three roles. Run by a superuser, or by a role that
-- may CREATE ROLE; running it again changes nothing.
--
--   carepost_owner   owns the tables and runs migrations; no server process uses it
--   carepost_app     what the doors, the pages and the workers use; bound by row-level security
--   carepost_relay   what faces port 25: may look up recipients and add sealed mail, and reads none of it
DO $$
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['carepost_owner', 'carepost_app', 'carepost_relay'] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT', role_name);
      EXCEPTION WHEN duplicate_object THEN
        NULL;  -- Another bootstrap on the same server was a moment quicker.
      END;
    END IF;
  END LOOP;
  -- A role that was made by hand with too much power would make row-level security a decoration.
  IF EXISTS (SELECT FROM pg_catalog.pg_roles
              WHERE rolname IN ('carepost_app', 'carepost_relay') AND (rolsuper OR rolbypassrls OR rolcreaterole)) THEN
    RAISE EXCEPTION 'carepost_app and carepost_relay may be neither superuser nor exempt from row-level security';
  END IF;
  IF EXISTS (SELECT FROM pg_catalog.pg_auth_members AS membership
              WHERE membership.member IN ('carepost_app'::regrole, 'carepost_relay'::regrole)
                AND membership.roleid = 'carepost_owner'::regrole) THEN
    RAISE EXCEPTION 'carepost_app and carepost_relay may not be members of carepost_owner';
  END IF;
END
$$;
