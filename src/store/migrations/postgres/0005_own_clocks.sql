-- Until when the looks at a mark that events asked for are paid for: the more of them lately, the later.
ALTER TABLE dirty ADD COLUMN paced_ms BIGINT;
-- What failed and is tried again, each by a clock of its own: JSON by what it is about.
ALTER TABLE agenda ADD COLUMN retries TEXT;
