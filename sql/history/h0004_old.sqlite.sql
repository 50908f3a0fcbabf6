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
