-- How an endpoint fares: when it last took a notice, when and why it last did not, and how many were given up.
ALTER TABLE notice_endpoints ADD COLUMN sent_ms BIGINT;
ALTER TABLE notice_endpoints ADD COLUMN failed_ms BIGINT;
ALTER TABLE notice_endpoints ADD COLUMN failure TEXT;
ALTER TABLE notice_endpoints ADD COLUMN dropped BIGINT NOT NULL DEFAULT 0;
