-- What was looked at because of events: `mark` up to `version`, by this pass. A delivery is served by the pass that
-- looked at the last of its marks, so that serving any number of deliveries is one row a mark. deliveries.pass_id tells
-- it of rows that earlier versions served. In new rows it is empty, so that an earlier version that runs meanwhile, or is
-- started again, does not take them all for waiting.
CREATE TABLE looks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    mark TEXT NOT NULL,
    version INTEGER NOT NULL,
    pass_id TEXT NOT NULL,
    began_ms INTEGER NOT NULL
);
CREATE INDEX looks_at ON looks (mark, version);

-- For pruning.
CREATE INDEX event_keys_seen ON event_keys (seen_ms);
CREATE INDEX grants_end ON grants (end_at);

-- Since when a mark has been waiting. From now on, version counts deliveries: version - done is how many wait.
ALTER TABLE dirty ADD COLUMN since_ms INTEGER;
