-- Times named *_ms are milliseconds, others seconds, since 1970 in UTC.

-- Every signed delivery, duplicates included.
CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    received_ms INTEGER NOT NULL,
    event_id TEXT,
    event_type TEXT,
    webhook_id TEXT,
    subscription TEXT,
    status TEXT NOT NULL,
    marks TEXT NOT NULL,
    pass_id TEXT
);
CREATE INDEX deliveries_waiting ON deliveries (seq) WHERE pass_id IS NULL AND status = 'accepted';

-- What identifies an event: its signed ID, or the digest of a body without one.
CREATE TABLE event_keys (
    key TEXT PRIMARY KEY,
    seen_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- What must be looked at again: while version > done.
CREATE TABLE dirty (
    mark TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    done INTEGER NOT NULL
) WITHOUT ROWID;

-- The ledger. state: creating (the call may be under way), lost (the call's outcome is unknown and no such grant
-- was found), live, revoking (the call may be under way), ended.
CREATE TABLE grants (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL,
    grant_id TEXT,
    account_id TEXT NOT NULL,
    email TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    resource TEXT NOT NULL,
    start_at INTEGER NOT NULL,
    end_at INTEGER NOT NULL,
    causes TEXT NOT NULL,
    intended_ms INTEGER NOT NULL,
    ended_at INTEGER
);
CREATE INDEX grants_open ON grants (end_at) WHERE state <> 'ended';
CREATE UNIQUE INDEX grants_ours ON grants (grant_id) WHERE state <> 'ended';
CREATE INDEX grants_ever_ours ON grants (grant_id);

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    granted TEXT NOT NULL,
    reason TEXT NOT NULL,
    cause TEXT NOT NULL,
    pass_id TEXT NOT NULL
);

CREATE TABLE passes (
    id TEXT PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    report TEXT NOT NULL
);
CREATE INDEX passes_started ON passes (started_ms);

-- Grants in strongDM that are not ours, as last seen.
CREATE TABLE foreign_grants (
    grant_id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    start_at INTEGER NOT NULL,
    end_at INTEGER NOT NULL,
    first_seen_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- Pairs for which strongDM refused a grant although none was seen in the way.
CREATE TABLE refusals (
    account_id TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    until_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (account_id, resource_id)
) WITHOUT ROWID;

-- Facts learned from answers, with their expiry.
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    until_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Which schedule was seen under which escalation policy in the last on-call answers.
CREATE TABLE links (
    schedule_id TEXT NOT NULL,
    policy_id TEXT NOT NULL,
    PRIMARY KEY (schedule_id, policy_id)
) WITHOUT ROWID;
