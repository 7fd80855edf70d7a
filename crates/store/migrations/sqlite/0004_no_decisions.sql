-- Decisions have a log of files, which is verified and signed; those that were kept here were of no release and are dropped.

DROP TABLE decisions;

-- What it says of nonces stays as it was.
DROP TRIGGER retention_never_goes_back;
ALTER TABLE retention DROP COLUMN decisions_before_ms;
CREATE TRIGGER retention_never_goes_back BEFORE UPDATE ON retention
WHEN NEW.nonces_through_ms < OLD.nonces_through_ms BEGIN
    SELECT RAISE(ABORT, 'what was forgotten stays forgotten');
END;
