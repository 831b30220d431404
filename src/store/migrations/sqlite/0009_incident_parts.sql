-- What rules remember of people's parts in incidents. over_ms: when all access because of it is over. part: the rest, as JSON.
CREATE TABLE incident_parts (
    rule TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    over_ms INTEGER NOT NULL,
    part TEXT NOT NULL,
    PRIMARY KEY (incident_id, user_id, rule)
) WITHOUT ROWID;
CREATE INDEX incident_parts_by_end ON incident_parts (over_ms);
-- When services are looked at once more after an event, as JSON.
ALTER TABLE agenda ADD COLUMN follow_ups TEXT;
