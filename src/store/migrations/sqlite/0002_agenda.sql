-- When a mark was last looked at because of an event: the start of that pass.
ALTER TABLE dirty ADD COLUMN looked_ms INTEGER;

-- The versions that a delivery gave its marks, in their order; it is served once all of them are done.
ALTER TABLE deliveries ADD COLUMN versions TEXT;

-- What passes leave for the next one: one row.
CREATE TABLE agenda (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_full_ms INTEGER,
    wake_ms INTEGER,
    failures INTEGER NOT NULL,
    retry_ms INTEGER,
    verified_ms INTEGER,
    standing TEXT NOT NULL
);
INSERT INTO agenda (id, failures, standing) VALUES (1, 0, '{}');
