ALTER TABLE blobs ADD COLUMN base VARCHAR(32);

CREATE INDEX blobs_base_idx ON blobs (base);

CREATE TABLE statement_work (
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	ended_at BIGINT NOT NULL,
	data BLOB NOT NULL,
	CONSTRAINT statement_work_pkey PRIMARY KEY (cluster_id, database_id, ended_at)
);

CREATE TABLE subjects (
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	oid BIGINT NOT NULL,
	name TEXT NOT NULL,
	CONSTRAINT subjects_pkey PRIMARY KEY (cluster_id, database_id, oid)
) WITHOUT ROWID;

CREATE TABLE numbers (
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	kind TEXT NOT NULL,
	taken_at BIGINT NOT NULL,
	data BLOB NOT NULL,
	CONSTRAINT numbers_pkey PRIMARY KEY (cluster_id, database_id, kind, taken_at)
);
