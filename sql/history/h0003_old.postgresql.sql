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
