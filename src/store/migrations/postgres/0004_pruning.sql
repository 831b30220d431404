-- For pruning by time. Rows are not always in its order: a clock may have been ahead.
CREATE INDEX deliveries_received ON deliveries (received_ms);
CREATE INDEX looks_began ON looks (began_ms);
CREATE INDEX audit_at ON audit (at_ms);
