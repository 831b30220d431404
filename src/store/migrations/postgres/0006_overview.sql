-- For whoever looks at the status page or lists grants: by person, and by start. By hash, since a name of any length must
-- fit.
CREATE INDEX grants_person ON grants USING hash (email) WHERE state <> 'ended';
CREATE INDEX grants_begin ON grants (start_at, end_at) WHERE state <> 'ended';
