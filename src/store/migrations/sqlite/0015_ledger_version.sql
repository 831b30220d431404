-- One row. version: another number after each change of the ledger, in the same transaction. Who has read the ledger
-- earlier sees by it whether that is still right.
CREATE TABLE ledger_version (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
);
INSERT INTO ledger_version (id, version) VALUES (1, 0);
CREATE TRIGGER grants_inserted AFTER INSERT ON grants BEGIN
    UPDATE ledger_version SET version = version + 1;
END;
CREATE TRIGGER grants_updated AFTER UPDATE ON grants BEGIN
    UPDATE ledger_version SET version = version + 1;
END;
CREATE TRIGGER grants_deleted AFTER DELETE ON grants BEGIN
    UPDATE ledger_version SET version = version + 1;
END;
