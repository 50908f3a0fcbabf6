ALTER TABLE pgwatch_wed_history.blobs ADD COLUMN base VARCHAR(32);

CREATE INDEX blobs_base_idx ON pgwatch_wed_history.blobs (base);

CREATE TABLE pgwatch_wed_history.statement_work (
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	ended_at TIMESTAMP WITH TIME ZONE NOT NULL,
	data BYTEA NOT NULL,
	CONSTRAINT statement_work_pkey PRIMARY KEY (cluster_id, database_id, ended_at)
)
 PARTITION BY RANGE (ended_at);

CREATE TABLE pgwatch_wed_history.subjects (
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	oid BIGINT NOT NULL,
	name TEXT NOT NULL,
	CONSTRAINT subjects_pkey PRIMARY KEY (cluster_id, database_id, oid)
);

CREATE TABLE pgwatch_wed_history.numbers (
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	kind TEXT NOT NULL,
	taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
	data BYTEA NOT NULL,
	CONSTRAINT numbers_pkey PRIMARY KEY (cluster_id, database_id, kind, taken_at)
)
 PARTITION BY RANGE (taken_at);
