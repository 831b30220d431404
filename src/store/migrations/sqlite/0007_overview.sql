-- For whoever looks at the status page or lists grants: by resource and person, and by start. Both hold all that is needed
-- to pass over what has ended.
CREATE INDEX grants_access ON grants (resource, email, end_at, start_at, state) WHERE state <> 'ended';
CREATE INDEX grants_begin ON grants (start_at, end_at) WHERE state <> 'ended';
