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
