-- Times named *_ms are milliseconds, others seconds, since 1970 in UTC, by the replicas' clocks. Only leases go by the
-- database's clock.

-- Every signed delivery, duplicates included. versions: those that it gave its marks, in their order; it is served
-- once all of them are done.
CREATE TABLE deliveries (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_ms BIGINT NOT NULL,
    event_id TEXT,
    event_type TEXT,
    webhook_id TEXT,
    subscription TEXT,
    status TEXT NOT NULL,
    marks TEXT NOT NULL,
    versions TEXT,
    pass_id TEXT
);
CREATE INDEX deliveries_waiting ON deliveries (seq) WHERE pass_id IS NULL AND status = 'accepted';

-- What identifies an event: its signed ID, or the digest of a body without one.
CREATE TABLE event_keys (
    key TEXT COLLATE "C" PRIMARY KEY,
    seen_ms BIGINT NOT NULL
);

-- What must be looked at again: while version > done. looked_ms: the start of the last pass that looked at it because
-- of an event. Rows are locked in the order of their marks, byte by byte.
CREATE TABLE dirty (
    mark TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL,
    done BIGINT NOT NULL,
    looked_ms BIGINT
);

-- The ledger. state: creating (the call may be under way), lost (the call's outcome is unknown and no such grant
-- was found), live, revoking (the call may be under way), ended.
CREATE TABLE grants (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state TEXT NOT NULL,
    grant_id TEXT,
    account_id TEXT NOT NULL,
    email TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    resource TEXT NOT NULL,
    start_at BIGINT NOT NULL,
    end_at BIGINT NOT NULL,
    causes TEXT NOT NULL,
    intended_ms BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX grants_open ON grants (end_at) WHERE state <> 'ended';
CREATE UNIQUE INDEX grants_ours ON grants (grant_id) WHERE state <> 'ended';
CREATE INDEX grants_ever_ours ON grants (grant_id);

CREATE TABLE audit (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    granted TEXT NOT NULL,
    reason TEXT NOT NULL,
    cause TEXT NOT NULL,
    pass_id TEXT NOT NULL
);

CREATE TABLE passes (
    id TEXT PRIMARY KEY,
    started_ms BIGINT NOT NULL,
    report TEXT NOT NULL
);
CREATE INDEX passes_started ON passes (started_ms);

-- Grants in strongDM that are not ours, as last seen.
CREATE TABLE foreign_grants (
    grant_id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    start_at BIGINT NOT NULL,
    end_at BIGINT NOT NULL,
    first_seen_ms BIGINT NOT NULL
);

-- Pairs for which strongDM refused a grant although none was seen in the way.
CREATE TABLE refusals (
    account_id TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    until_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    PRIMARY KEY (account_id, resource_id)
);

-- Facts learned from answers, with their expiry.
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    until_at BIGINT NOT NULL
);

-- Which schedule was seen under which escalation policy in the last on-call answers.
CREATE TABLE links (
    schedule_id TEXT NOT NULL,
    policy_id TEXT NOT NULL,
    PRIMARY KEY (schedule_id, policy_id)
);

-- What passes leave for the next one, wherever that runs: one row.
CREATE TABLE agenda (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    last_full_ms BIGINT,
    wake_ms BIGINT,
    failures BIGINT NOT NULL,
    retry_ms BIGINT,
    verified_ms BIGINT,
    standing TEXT NOT NULL
);
INSERT INTO agenda (id, failures, standing) VALUES (1, 0, '{}');

-- Who may do what only one replica may do at a time. It is free once released (owner is null) or expired; then the
-- next owner gets a higher token. abandoned: the owner before did not release it.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    owner TEXT,
    token BIGINT NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    abandoned BOOLEAN NOT NULL,
    note TEXT NOT NULL
);
