ALTER TABLE runs ADD COLUMN findings VARCHAR(32);

CREATE INDEX runs_findings_idx ON runs (findings);

CREATE TABLE collections_new (
	snapshot_id BIGINT NOT NULL,
	name TEXT NOT NULL,
	hash VARCHAR(32) NOT NULL,
	CONSTRAINT collections_pkey PRIMARY KEY (snapshot_id, name)
) WITHOUT ROWID;

INSERT INTO collections_new SELECT snapshot_id, name, hash FROM collections ORDER BY snapshot_id, name;

DROP TABLE collections;

ALTER TABLE collections_new RENAME TO collections;

CREATE INDEX collections_hash_idx ON collections (hash);
