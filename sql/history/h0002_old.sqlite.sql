CREATE TABLE measures (
	cluster_id BIGINT NOT NULL,
	taken_at BIGINT NOT NULL,
	series_id BIGINT NOT NULL,
	value FLOAT,
	CONSTRAINT measures_pkey PRIMARY KEY (cluster_id, taken_at, series_id)
);

CREATE INDEX measures_series_id_taken_at_idx ON measures (series_id, taken_at);

CREATE TABLE series (
	id INTEGER NOT NULL,
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	kind TEXT NOT NULL,
	object_oid BIGINT NOT NULL,
	object_name TEXT NOT NULL,
	CONSTRAINT series_pkey PRIMARY KEY (id),
	CONSTRAINT series_cluster_id_database_id_kind_object_oid_object_name_key UNIQUE (cluster_id, database_id, kind, object_oid, object_name)
);

CREATE TABLE statement_intervals (
	cluster_id BIGINT NOT NULL,
	ended_at BIGINT NOT NULL,
	statement_id BIGINT NOT NULL,
	began_at BIGINT NOT NULL,
	calls BIGINT NOT NULL,
	exec_ms FLOAT NOT NULL,
	squares_ms2 FLOAT NOT NULL,
	min_ms FLOAT,
	max_ms FLOAT,
	rows BIGINT NOT NULL,
	blocks_hit BIGINT NOT NULL,
	blocks_read BIGINT NOT NULL,
	temp_blocks BIGINT NOT NULL,
	wal_bytes BIGINT NOT NULL,
	plan_hash TEXT,
	CONSTRAINT statement_intervals_pkey PRIMARY KEY (cluster_id, ended_at, statement_id)
);

CREATE INDEX statement_intervals_statement_id_ended_at_idx ON statement_intervals (statement_id, ended_at);
