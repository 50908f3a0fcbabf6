DROP INDEX pgwatch_wed_history.runs_findings_idx;

ALTER TABLE pgwatch_wed_history.runs DROP COLUMN findings;
