CREATE TABLE fleet_runs (
	id INTEGER NOT NULL,
	began_at BIGINT NOT NULL,
	ended_at BIGINT,
	tool_version TEXT NOT NULL,
	members BIGINT NOT NULL,
	settings JSON NOT NULL,
	CONSTRAINT fleet_runs_pkey PRIMARY KEY (id)
);

CREATE TABLE fleet_visits (
	fleet_run_id BIGINT NOT NULL,
	member TEXT NOT NULL,
	group_name TEXT NOT NULL,
	tags JSON NOT NULL,
	label TEXT NOT NULL,
	ending TEXT,
	reason TEXT NOT NULL,
	mend TEXT NOT NULL,
	lacking JSON NOT NULL,
	attempts BIGINT NOT NULL,
	began_at BIGINT,
	ended_at BIGINT,
	heartbeat_at BIGINT,
	worker TEXT NOT NULL,
	node_key TEXT,
	same_as TEXT,
	cluster_id BIGINT,
	run_id BIGINT,
	traits VARCHAR(32),
	CONSTRAINT fleet_visits_pkey PRIMARY KEY (fleet_run_id, member),
	CONSTRAINT fleet_visits_fleet_run_id_node_key_key UNIQUE (fleet_run_id, node_key)
);

CREATE INDEX fleet_visits_cluster_id_fleet_run_id_idx ON fleet_visits (cluster_id, fleet_run_id);

CREATE INDEX fleet_visits_member_fleet_run_id_idx ON fleet_visits (member, fleet_run_id);

CREATE INDEX fleet_visits_traits_idx ON fleet_visits (traits);

CREATE TABLE chores (
	name TEXT NOT NULL,
	begun_at BIGINT NOT NULL,
	CONSTRAINT chores_pkey PRIMARY KEY (name)
);

CREATE INDEX runs_report_idx ON runs (report);

CREATE INDEX snapshots_server_idx ON snapshots (server);

ALTER TABLE runs ADD COLUMN verdicts VARCHAR(32);

CREATE INDEX runs_verdicts_idx ON runs (verdicts);

ALTER TABLE snapshots ADD COLUMN shares BIGINT;

CREATE INDEX snapshots_shares_idx ON snapshots (shares);
