CREATE TABLE acknowledgements (
	cluster_id BIGINT NOT NULL,
	finding_id VARCHAR(16) NOT NULL,
	acknowledged_at BIGINT NOT NULL,
	until BIGINT,
	reason TEXT NOT NULL,
	name TEXT NOT NULL,
	CONSTRAINT acknowledgements_pkey PRIMARY KEY (cluster_id, finding_id)
);

CREATE TABLE advice (
	id INTEGER NOT NULL,
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	finding_id VARCHAR(16) NOT NULL,
	rule TEXT NOT NULL,
	grade TEXT NOT NULL,
	label TEXT NOT NULL,
	run_id BIGINT NOT NULL,
	advised_at BIGINT NOT NULL,
	last_advised_at BIGINT NOT NULL,
	structure JSON NOT NULL,
	predicted JSON NOT NULL,
	state TEXT NOT NULL,
	state_at BIGINT NOT NULL,
	outcome TEXT,
	outcome_at BIGINT,
	measured JSON,
	CONSTRAINT advice_pkey PRIMARY KEY (id)
);

CREATE INDEX advice_cluster_id_finding_id_idx ON advice (cluster_id, finding_id);

CREATE TABLE baselines (
	cluster_id BIGINT NOT NULL,
	name TEXT NOT NULL,
	run_id BIGINT NOT NULL,
	set_at BIGINT NOT NULL,
	note TEXT NOT NULL,
	CONSTRAINT baselines_pkey PRIMARY KEY (cluster_id, name)
);

CREATE TABLE blobs (
	hash VARCHAR(32) NOT NULL,
	data BLOB NOT NULL,
	CONSTRAINT blobs_pkey PRIMARY KEY (hash)
);

CREATE TABLE clusters (
	id INTEGER NOT NULL,
	system_identifier TEXT,
	label TEXT NOT NULL,
	first_seen BIGINT NOT NULL,
	CONSTRAINT clusters_pkey PRIMARY KEY (id)
);

CREATE TABLE collections (
	snapshot_id BIGINT NOT NULL,
	name TEXT NOT NULL,
	hash VARCHAR(32) NOT NULL,
	CONSTRAINT collections_pkey PRIMARY KEY (snapshot_id, name)
);

CREATE INDEX collections_hash_idx ON collections (hash);

CREATE TABLE databases (
	id INTEGER NOT NULL,
	cluster_id BIGINT NOT NULL,
	oid BIGINT NOT NULL,
	name TEXT NOT NULL,
	CONSTRAINT databases_pkey PRIMARY KEY (id),
	CONSTRAINT databases_cluster_id_oid_key UNIQUE (cluster_id, oid)
);

CREATE TABLE finding_states (
	cluster_id BIGINT NOT NULL,
	finding_id VARCHAR(16) NOT NULL,
	rule TEXT NOT NULL,
	label TEXT NOT NULL,
	object JSON NOT NULL,
	severity TEXT NOT NULL,
	state TEXT NOT NULL,
	first_seen BIGINT NOT NULL,
	last_seen BIGINT NOT NULL,
	resolved_at BIGINT,
	came_back_at BIGINT,
	times_resolved BIGINT NOT NULL,
	CONSTRAINT finding_states_pkey PRIMARY KEY (cluster_id, finding_id)
);

CREATE TABLE findings (
	cluster_id BIGINT NOT NULL,
	taken_at BIGINT NOT NULL,
	run_id BIGINT NOT NULL,
	finding_id VARCHAR(16) NOT NULL,
	rule TEXT NOT NULL,
	severity TEXT NOT NULL,
	grade TEXT NOT NULL,
	label TEXT NOT NULL,
	title TEXT NOT NULL,
	object JSON NOT NULL,
	ms_per_day FLOAT,
	bytes BIGINT,
	CONSTRAINT findings_pkey PRIMARY KEY (cluster_id, taken_at, run_id, finding_id)
);

CREATE TABLE intervals (
	database_id BIGINT NOT NULL,
	ended_at BIGINT NOT NULL,
	began_at BIGINT NOT NULL,
	cluster_id BIGINT NOT NULL,
	run_id BIGINT NOT NULL,
	bond TEXT NOT NULL,
	known_share FLOAT,
	calls BIGINT NOT NULL,
	exec_ms FLOAT NOT NULL,
	reason TEXT NOT NULL,
	CONSTRAINT intervals_pkey PRIMARY KEY (database_id, ended_at)
);

CREATE TABLE measures (
	cluster_id BIGINT NOT NULL,
	taken_at BIGINT NOT NULL,
	series_id BIGINT NOT NULL,
	value FLOAT,
	CONSTRAINT measures_pkey PRIMARY KEY (cluster_id, taken_at, series_id)
);

CREATE INDEX measures_series_id_taken_at_idx ON measures (series_id, taken_at);

CREATE TABLE predictions (
	id INTEGER NOT NULL,
	cluster_id BIGINT NOT NULL,
	database_id BIGINT,
	run_id BIGINT NOT NULL,
	kind TEXT NOT NULL,
	rule TEXT NOT NULL,
	grade TEXT NOT NULL,
	subject JSON NOT NULL,
	made_at BIGINT NOT NULL,
	due_at BIGINT,
	unit TEXT NOT NULL,
	low FLOAT,
	predicted FLOAT,
	high FLOAT,
	outcome TEXT,
	actual FLOAT,
	settled_at BIGINT,
	CONSTRAINT predictions_pkey PRIMARY KEY (id)
);

CREATE INDEX predictions_cluster_id_kind_made_at_idx ON predictions (cluster_id, kind, made_at);

CREATE TABLE runs (
	id INTEGER NOT NULL,
	cluster_id BIGINT NOT NULL,
	taken_at BIGINT NOT NULL,
	fingerprint VARCHAR(32) NOT NULL,
	label TEXT NOT NULL,
	tool_version TEXT NOT NULL,
	server_version TEXT NOT NULL,
	report VARCHAR(32),
	CONSTRAINT runs_pkey PRIMARY KEY (id),
	CONSTRAINT runs_fingerprint_key UNIQUE (fingerprint)
);

CREATE INDEX runs_cluster_id_taken_at_idx ON runs (cluster_id, taken_at);

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

CREATE TABLE snapshots (
	id INTEGER NOT NULL,
	run_id BIGINT NOT NULL,
	cluster_id BIGINT NOT NULL,
	database_id BIGINT NOT NULL,
	taken_at BIGINT NOT NULL,
	tool_version TEXT NOT NULL,
	measured_since BIGINT,
	server VARCHAR(32) NOT NULL,
	missing JSON NOT NULL,
	CONSTRAINT snapshots_pkey PRIMARY KEY (id)
);

CREATE INDEX snapshots_database_id_taken_at_idx ON snapshots (database_id, taken_at);

CREATE INDEX snapshots_run_id_idx ON snapshots (run_id);

CREATE TABLE statement_aliases (
	database_id BIGINT NOT NULL,
	id_key TEXT NOT NULL,
	"key" TEXT NOT NULL,
	CONSTRAINT statement_aliases_pkey PRIMARY KEY (database_id, id_key)
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

CREATE TABLE statements (
	id INTEGER NOT NULL,
	database_id BIGINT NOT NULL,
	"key" TEXT NOT NULL,
	query_id BIGINT NOT NULL,
	text TEXT,
	first_seen BIGINT NOT NULL,
	CONSTRAINT statements_pkey PRIMARY KEY (id),
	CONSTRAINT statements_database_id_key_key UNIQUE (database_id, "key")
);

CREATE TABLE verdicts (
	cluster_id BIGINT NOT NULL,
	taken_at BIGINT NOT NULL,
	run_id BIGINT NOT NULL,
	rule TEXT NOT NULL,
	area TEXT NOT NULL,
	verdict TEXT NOT NULL,
	reason TEXT NOT NULL,
	CONSTRAINT verdicts_pkey PRIMARY KEY (cluster_id, taken_at, run_id, rule)
);

