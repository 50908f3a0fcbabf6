DROP TABLE statement_work;

DROP TABLE numbers;

DROP TABLE subjects;

DROP INDEX blobs_base_idx;

ALTER TABLE blobs DROP COLUMN base;
