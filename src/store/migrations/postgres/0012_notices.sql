-- What endpoints are told, in this order. data: what programs read, text: what people read.
CREATE TABLE notices (
    seq BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    data TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX notices_at ON notices (at_ms);

-- One row, which whoever adds a notice locks until the commit. size: how many notices there ever were; folded: entries of the decision log with lower numbers have become notices.
CREATE TABLE notice_log (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    size BIGINT NOT NULL,
    folded BIGINT NOT NULL
);
INSERT INTO notice_log (id, size, folded) VALUES (1, 0, 0);

-- How far each endpoint has come: the next notice, how often that failed, and when it is due again.
CREATE TABLE notice_endpoints (
    name TEXT PRIMARY KEY,
    next_seq BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    due_ms BIGINT NOT NULL,
    stopped BIGINT NOT NULL
);

-- What lasts, and was told.
CREATE TABLE notice_findings (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (kind, subject)
);
