DO $$
DECLARE
    mine text;
BEGIN
    FOREACH mine IN ARRAY ARRAY['pgwatch_wed_fleet', 'pgwatch_wed_reader'] LOOP
        IF to_regrole(mine) IS NULL THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', mine);
        END IF;
    END LOOP;
    -- what is there is handed over to the role that writes, so that each of its members may create partitions
    IF NOT pg_has_role(current_user, 'pgwatch_wed_fleet', 'USAGE') THEN
        EXECUTE format('GRANT pgwatch_wed_fleet TO %I', current_user);
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS pgwatch_wed_history AUTHORIZATION pgwatch_wed_fleet;

CREATE SCHEMA IF NOT EXISTS pgwatch_wed_queue AUTHORIZATION pgwatch_wed_fleet;

DO $$
DECLARE
    mine record;
BEGIN
    FOR mine IN
        SELECT nspname FROM pg_namespace
        WHERE nspname IN ('pgwatch_wed_history', 'pgwatch_wed_queue')
          AND nspowner <> to_regrole('pgwatch_wed_fleet')
    LOOP
        EXECUTE format('ALTER SCHEMA %I OWNER TO pgwatch_wed_fleet', mine.nspname);
    END LOOP;
    FOR mine IN
        SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('pgwatch_wed_history', 'pgwatch_wed_queue') AND c.relkind IN ('r', 'p')
          AND c.relowner <> to_regrole('pgwatch_wed_fleet')
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO pgwatch_wed_fleet', mine.name);
    END LOOP;
    FOR mine IN
        SELECT p.oid::regprocedure AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'pgwatch_wed_queue' AND p.proowner <> to_regrole('pgwatch_wed_fleet')
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO pgwatch_wed_fleet', mine.name);
    END LOOP;
    FOR mine IN
        SELECT t.oid::regtype AS name FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        LEFT JOIN pg_class c ON c.oid = t.typrelid
        WHERE n.nspname = 'pgwatch_wed_queue' AND t.typowner <> to_regrole('pgwatch_wed_fleet')
          AND t.typelem = 0 AND (t.typtype = 'e' OR t.typtype = 'c' AND c.relkind = 'c')
    LOOP
        EXECUTE format('ALTER TYPE %s OWNER TO pgwatch_wed_fleet', mine.name);
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA pgwatch_wed_history, pgwatch_wed_queue TO pgwatch_wed_reader;

GRANT SELECT ON ALL TABLES IN SCHEMA pgwatch_wed_history, pgwatch_wed_queue TO pgwatch_wed_reader;

ALTER DEFAULT PRIVILEGES FOR ROLE pgwatch_wed_fleet IN SCHEMA pgwatch_wed_history, pgwatch_wed_queue
    GRANT SELECT ON TABLES TO pgwatch_wed_reader;
