-- What people call the things of PagerDuty, as last seen. address: a person's login e-mail. change: grows with each change, so
-- that other replicas read only what is new.
CREATE TABLE names (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    address TEXT,
    seen_ms BIGINT NOT NULL,
    change BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX names_by_seen ON names (seen_ms);
CREATE INDEX names_by_change ON names (change);
