DROP TABLE pgwatch_wed_history.statement_work;

DROP TABLE pgwatch_wed_history.numbers;

DROP TABLE pgwatch_wed_history.subjects;

DROP INDEX pgwatch_wed_history.blobs_base_idx;

ALTER TABLE pgwatch_wed_history.blobs DROP COLUMN base;
