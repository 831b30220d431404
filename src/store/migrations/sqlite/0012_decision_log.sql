-- The decision log: entries of the audit by number, from 0 without a gap. canonical: the text that the entry's hash is made
-- of. Both are null for an entry of an earlier version until it is taken in.
ALTER TABLE audit ADD COLUMN number INTEGER;
ALTER TABLE audit ADD COLUMN canonical TEXT;
CREATE UNIQUE INDEX audit_number ON audit (number);
CREATE INDEX audit_unnumbered ON audit (seq) WHERE number IS NULL;

-- The leaves of the hash tree (RFC 6962). They stay when entries are pruned. at_ms: when the entry was made.
CREATE TABLE decision_leaves (
    number INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    at_ms INTEGER NOT NULL
);

-- One row. size: how many entries were ever numbered; pruned_ms: entries made before may be
-- missing, since they were pruned.
CREATE TABLE decision_log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    store_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    pruned_ms INTEGER NOT NULL
);
INSERT INTO decision_log (id, store_id, size, pruned_ms) VALUES (1, lower(hex(randomblob(8))), 0, 0);

-- edge: the hashes of the whole subtrees that make up the tree of this size, the largest first, from which it grows on.
CREATE TABLE decision_checkpoints (
    size INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    note TEXT NOT NULL,
    edge BLOB NOT NULL
);
