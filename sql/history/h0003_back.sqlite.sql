DROP TABLE fleet_visits;

DROP TABLE fleet_runs;

DROP TABLE chores;

DROP INDEX runs_report_idx;

DROP INDEX snapshots_server_idx;
