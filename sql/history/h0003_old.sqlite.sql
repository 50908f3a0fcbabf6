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
