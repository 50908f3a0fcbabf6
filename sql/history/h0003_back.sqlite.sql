DROP TABLE fleet_visits;

DROP TABLE fleet_runs;

DROP TABLE chores;

DROP INDEX runs_report_idx;

DROP INDEX snapshots_server_idx;

DROP INDEX runs_verdicts_idx;

ALTER TABLE runs DROP COLUMN verdicts;

DROP INDEX snapshots_shares_idx;

ALTER TABLE snapshots DROP COLUMN shares;
