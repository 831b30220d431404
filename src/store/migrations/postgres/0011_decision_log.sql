-- The decision log: entries of the audit by number, from 0 without a gap. canonical: the text that the entry's hash is made
-- of. Both are null for an entry of an earlier version until it is taken in.
ALTER TABLE audit ADD COLUMN number BIGINT;
ALTER TABLE audit ADD COLUMN canonical TEXT;
CREATE UNIQUE INDEX audit_number ON audit (number);
CREATE INDEX audit_unnumbered ON audit (seq) WHERE number IS NULL;

-- The leaves of the hash tree (RFC 6962). They stay when entries are pruned. at_ms: when the entry was made.
CREATE TABLE decision_leaves (
    number BIGINT PRIMARY KEY,
    hash BYTEA NOT NULL,
    at_ms BIGINT NOT NULL
);

-- One row, which whoever numbers an entry locks until the commit. size: how many entries were ever numbered; pruned_ms:
-- entries made before may be missing, since they were pruned.
CREATE TABLE decision_log (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    store_id TEXT NOT NULL,
    size BIGINT NOT NULL,
    pruned_ms BIGINT NOT NULL
);
INSERT INTO decision_log (id, store_id, size, pruned_ms)
VALUES (1, substr(md5(random()::text || clock_timestamp()::text || random()::text), 1, 16), 0, 0);

-- edge: the hashes of the whole subtrees that make up the tree of this size, the largest first, from which it grows on.
CREATE TABLE decision_checkpoints (
    size BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    note TEXT NOT NULL,
    edge BYTEA NOT NULL
);
