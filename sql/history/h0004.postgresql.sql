ALTER TABLE pgwatch_wed_history.runs ADD COLUMN findings VARCHAR(32);

CREATE INDEX runs_findings_idx ON pgwatch_wed_history.runs (findings);
