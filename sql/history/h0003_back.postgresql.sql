DROP TABLE pgwatch_wed_history.fleet_visits;

DROP TABLE pgwatch_wed_history.fleet_runs;

DROP TABLE pgwatch_wed_history.chores;

DROP INDEX pgwatch_wed_history.runs_report_idx;

DROP INDEX pgwatch_wed_history.snapshots_server_idx;

DROP INDEX pgwatch_wed_history.runs_verdicts_idx;

ALTER TABLE pgwatch_wed_history.runs DROP COLUMN verdicts;

DROP INDEX pgwatch_wed_history.snapshots_shares_idx;

ALTER TABLE pgwatch_wed_history.snapshots DROP COLUMN shares;
