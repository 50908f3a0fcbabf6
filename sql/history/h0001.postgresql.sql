CREATE TABLE pgwatch_wed_history.acknowledgements (
	cluster_id BIGINT NOT NULL,
	finding_id VARCHAR(16) NOT NULL,
	acknowledged_at TIMESTAMP WITH TIME ZONE NOT NULL,
	until TIMESTAMP WITH TIME ZONE,
	reason TEXT NOT NULL,
	name TEXT NOT NULL,
	CONSTRAINT acknowledgements_pkey PRIMARY KEY (cluster_id, finding_id)
);

CREATE TABLE pgwatch_wed_history.advice (
	id BIGSERIAL NOT NULL,
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	finding_id VARCHAR(16) NOT NULL,
	rule TEXT NOT NULL,
	grade TEXT NOT NULL,
	label TEXT NOT NULL,
	run_id BIGINT NOT NULL,
	advised_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_advised_at TIMESTAMP WITH TIME ZONE NOT NULL,
	structure JSONB NOT NULL,
	predicted JSONB NOT NULL,
	state TEXT NOT NULL,
	state_at TIMESTAMP WITH TIME ZONE NOT NULL,
	outcome TEXT,
	outcome_at TIMESTAMP WITH TIME ZONE,
	measured JSONB,
	CONSTRAINT advice_pkey PRIMARY KEY (id)
);

CREATE INDEX advice_cluster_id_finding_id_idx ON pgwatch_wed_history.advice (cluster_id, finding_id);

CREATE TABLE pgwatch_wed_history.baselines (
	cluster_id BIGINT NOT NULL,
	name TEXT NOT NULL,
	run_id BIGINT NOT NULL,
	set_at TIMESTAMP WITH TIME ZONE NOT NULL,
	note TEXT NOT NULL,
	CONSTRAINT baselines_pkey PRIMARY KEY (cluster_id, name)
);

CREATE TABLE pgwatch_wed_history.blobs (
	hash VARCHAR(32) NOT NULL,
	data BYTEA NOT NULL,
	CONSTRAINT blobs_pkey PRIMARY KEY (hash)
);

CREATE TABLE pgwatch_wed_history.clusters (
	id BIGSERIAL NOT NULL,
	system_identifier TEXT,
	label TEXT NOT NULL,
	first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT clusters_pkey PRIMARY KEY (id)
);

CREATE TABLE pgwatch_wed_history.collections (
	snapshot_id BIGINT NOT NULL,
	name TEXT NOT NULL,
	hash VARCHAR(32) NOT NULL,
	CONSTRAINT collections_pkey PRIMARY KEY (snapshot_id, name)
);

CREATE INDEX collections_hash_idx ON pgwatch_wed_history.collections (hash);

CREATE TABLE pgwatch_wed_history.databases (
	id BIGSERIAL NOT NULL,
	cluster_id BIGINT NOT NULL,
	oid BIGINT NOT NULL,
	name TEXT NOT NULL,
	CONSTRAINT databases_pkey PRIMARY KEY (id),
	CONSTRAINT databases_cluster_id_oid_key UNIQUE (cluster_id, oid)
);

CREATE TABLE pgwatch_wed_history.finding_states (
	cluster_id BIGINT NOT NULL,
	finding_id VARCHAR(16) NOT NULL,
	rule TEXT NOT NULL,
	label TEXT NOT NULL,
	object JSONB NOT NULL,
	severity TEXT NOT NULL,
	state TEXT NOT NULL,
	first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
	last_seen TIMESTAMP WITH TIME ZONE NOT NULL,
	resolved_at TIMESTAMP WITH TIME ZONE,
	came_back_at TIMESTAMP WITH TIME ZONE,
	times_resolved BIGINT NOT NULL,
	CONSTRAINT finding_states_pkey PRIMARY KEY (cluster_id, finding_id)
);

CREATE TABLE pgwatch_wed_history.findings (
	cluster_id BIGINT NOT NULL,
	taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
	run_id BIGINT NOT NULL,
	finding_id VARCHAR(16) NOT NULL,
	rule TEXT NOT NULL,
	severity TEXT NOT NULL,
	grade TEXT NOT NULL,
	label TEXT NOT NULL,
	title TEXT NOT NULL,
	object JSONB NOT NULL,
	ms_per_day FLOAT(53),
	bytes BIGINT,
	CONSTRAINT findings_pkey PRIMARY KEY (cluster_id, taken_at, run_id, finding_id)
)
 PARTITION BY RANGE (taken_at);

CREATE TABLE pgwatch_wed_history.intervals (
	database_id BIGINT NOT NULL,
	ended_at TIMESTAMP WITH TIME ZONE NOT NULL,
	began_at TIMESTAMP WITH TIME ZONE NOT NULL,
	cluster_id BIGINT NOT NULL,
	run_id BIGINT NOT NULL,
	bond TEXT NOT NULL,
	known_share FLOAT(53),
	calls BIGINT NOT NULL,
	exec_ms FLOAT(53) NOT NULL,
	reason TEXT NOT NULL,
	CONSTRAINT intervals_pkey PRIMARY KEY (database_id, ended_at)
);

CREATE TABLE pgwatch_wed_history.measures (
	cluster_id BIGINT NOT NULL,
	taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
	series_id BIGINT NOT NULL,
	value FLOAT(53),
	CONSTRAINT measures_pkey PRIMARY KEY (cluster_id, taken_at, series_id)
)
 PARTITION BY RANGE (taken_at);

CREATE INDEX measures_series_id_taken_at_idx ON pgwatch_wed_history.measures (series_id, taken_at);

CREATE TABLE pgwatch_wed_history.predictions (
	id BIGSERIAL NOT NULL,
	cluster_id BIGINT NOT NULL,
	database_id BIGINT,
	run_id BIGINT NOT NULL,
	kind TEXT NOT NULL,
	rule TEXT NOT NULL,
	grade TEXT NOT NULL,
	subject JSONB NOT NULL,
	made_at TIMESTAMP WITH TIME ZONE NOT NULL,
	due_at TIMESTAMP WITH TIME ZONE,
	unit TEXT NOT NULL,
	low FLOAT(53),
	predicted FLOAT(53),
	high FLOAT(53),
	outcome TEXT,
	actual FLOAT(53),
	settled_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT predictions_pkey PRIMARY KEY (id)
);

CREATE INDEX predictions_cluster_id_kind_made_at_idx ON pgwatch_wed_history.predictions (cluster_id, kind, made_at);

CREATE TABLE pgwatch_wed_history.runs (
	id BIGSERIAL NOT NULL,
	cluster_id BIGINT NOT NULL,
	taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
	fingerprint VARCHAR(32) NOT NULL,
	label TEXT NOT NULL,
	tool_version TEXT NOT NULL,
	server_version TEXT NOT NULL,
	report VARCHAR(32),
	CONSTRAINT runs_pkey PRIMARY KEY (id),
	UNIQUE (fingerprint)
);

CREATE INDEX runs_cluster_id_taken_at_idx ON pgwatch_wed_history.runs (cluster_id, taken_at);

CREATE TABLE pgwatch_wed_history.series (
	id BIGSERIAL NOT NULL,
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	kind TEXT NOT NULL,
	object_oid BIGINT NOT NULL,
	object_name TEXT NOT NULL,
	CONSTRAINT series_pkey PRIMARY KEY (id),
	CONSTRAINT series_cluster_id_database_id_kind_object_oid_object_name_key UNIQUE (cluster_id, database_id, kind, object_oid, object_name)
);

CREATE TABLE pgwatch_wed_history.snapshots (
	id BIGSERIAL NOT NULL,
	run_id BIGINT NOT NULL,
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
	tool_version TEXT NOT NULL,
	measured_since TIMESTAMP WITH TIME ZONE,
	server VARCHAR(32) NOT NULL,
	missing JSONB NOT NULL,
	CONSTRAINT snapshots_pkey PRIMARY KEY (id)
);

CREATE INDEX snapshots_database_id_taken_at_idx ON pgwatch_wed_history.snapshots (database_id, taken_at);

CREATE INDEX snapshots_run_id_idx ON pgwatch_wed_history.snapshots (run_id);

CREATE TABLE pgwatch_wed_history.statement_aliases (
	database_id BIGINT NOT NULL,
	id_key TEXT NOT NULL,
	key TEXT NOT NULL,
	CONSTRAINT statement_aliases_pkey PRIMARY KEY (database_id, id_key)
);

CREATE TABLE pgwatch_wed_history.statement_intervals (
	cluster_id BIGINT NOT NULL,
	ended_at TIMESTAMP WITH TIME ZONE NOT NULL,
	statement_id BIGINT NOT NULL,
	began_at TIMESTAMP WITH TIME ZONE NOT NULL,
	calls BIGINT NOT NULL,
	exec_ms FLOAT(53) NOT NULL,
	squares_ms2 FLOAT(53) NOT NULL,
	min_ms FLOAT(53),
	max_ms FLOAT(53),
	rows BIGINT NOT NULL,
	blocks_hit BIGINT NOT NULL,
	blocks_read BIGINT NOT NULL,
	temp_blocks BIGINT NOT NULL,
	wal_bytes BIGINT NOT NULL,
	plan_hash TEXT,
	CONSTRAINT statement_intervals_pkey PRIMARY KEY (cluster_id, ended_at, statement_id)
)
 PARTITION BY RANGE (ended_at);

CREATE INDEX statement_intervals_statement_id_ended_at_idx ON pgwatch_wed_history.statement_intervals (statement_id, ended_at);

CREATE TABLE pgwatch_wed_history.statements (
	id BIGSERIAL NOT NULL,
	database_id BIGINT NOT NULL,
	key TEXT NOT NULL,
	query_id BIGINT NOT NULL,
	text TEXT,
	first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT statements_pkey PRIMARY KEY (id),
	CONSTRAINT statements_database_id_key_key UNIQUE (database_id, key)
);

CREATE TABLE pgwatch_wed_history.verdicts (
	cluster_id BIGINT NOT NULL,
	taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
	run_id BIGINT NOT NULL,
	rule TEXT NOT NULL,
	area TEXT NOT NULL,
	verdict TEXT NOT NULL,
	reason TEXT NOT NULL,
	CONSTRAINT verdicts_pkey PRIMARY KEY (cluster_id, taken_at, run_id, rule)
)
 PARTITION BY RANGE (taken_at);

