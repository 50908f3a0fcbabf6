-- Beside procrastinate's tables, which know workers by number only.
CREATE TABLE fleet_queue_version (step text NOT NULL);

-- Who works, and whom its inventory has: a visit that one worker cannot make is left to another.
CREATE TABLE fleet_workers (
    worker_id bigint PRIMARY KEY REFERENCES procrastinate_workers ON DELETE CASCADE,
    name text NOT NULL,
    concurrency integer NOT NULL,
    members jsonb NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
