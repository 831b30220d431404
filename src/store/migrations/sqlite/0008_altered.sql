-- Windows of which strongDM stored something else than what was asked for: they are not asked for again before until_at.
-- attempts: how often in a row. fault and remedy: why nothing of the grant was left; empty if it stayed.
CREATE TABLE altered (
    account_id TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    start_at INTEGER NOT NULL,
    end_at INTEGER NOT NULL,
    until_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    fault TEXT NOT NULL,
    remedy TEXT NOT NULL,
    PRIMARY KEY (account_id, resource_id, start_at)
) WITHOUT ROWID;
