-- Measured boot, IMA, and golden images that are described by a document.

-- What was stored before was taken by this engine when it was made.
ALTER TABLE images ADD COLUMN activated_at_ms INTEGER NOT NULL DEFAULT 0;
UPDATE images SET activated_at_ms = created_at_ms;

-- The summary of the document, as JSON; the document itself lies apart, so that no list of images reads it.
ALTER TABLE images ADD COLUMN document TEXT;

CREATE TABLE image_documents (
    image    TEXT NOT NULL PRIMARY KEY REFERENCES images (id),
    text     TEXT NOT NULL,
    envelope TEXT
) STRICT;

CREATE TRIGGER image_documents_are_never_changed BEFORE UPDATE ON image_documents BEGIN
    SELECT RAISE(ABORT, 'documents of images are never changed');
END;

-- Found from the image that is superseded. It need not exist: an engine may begin with the newest of a line.
CREATE TABLE image_supersedes (
    superseded TEXT NOT NULL,
    image      TEXT NOT NULL REFERENCES images (id),
    PRIMARY KEY (superseded, image)
) STRICT, WITHOUT ROWID;

-- Boot event logs by their digests, whoever sent them: thousands of hosts of one kind share one. The bytes lie apart, so
-- that noting when a log was last of use does not write it again.
CREATE TABLE event_logs (
    digest         BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    last_of_use_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX event_logs_by_use ON event_logs (last_of_use_ms);

CREATE TABLE event_log_bytes (
    digest BLOB NOT NULL PRIMARY KEY REFERENCES event_logs (digest) ON DELETE CASCADE,
    bytes  BLOB NOT NULL
) STRICT;

-- The present boot of each device. The event log is a foreign key, so that none that a boot names can be purged.
CREATE TABLE boots (
    device        TEXT    NOT NULL PRIMARY KEY REFERENCES devices (id),
    version       INTEGER NOT NULL CHECK (version > 0),
    enrolment     TEXT    NOT NULL REFERENCES enrolments (id),
    boot          TEXT,
    reset_count   INTEGER NOT NULL CHECK (reset_count BETWEEN 0 AND 4294967295),
    restart_count INTEGER NOT NULL CHECK (restart_count BETWEEN 0 AND 4294967295),
    event_log     BLOB    REFERENCES event_logs (digest),
    at_ms         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX boots_by_event_log ON boots (event_log) WHERE event_log IS NOT NULL;

CREATE TRIGGER boots_only_go_on BEFORE UPDATE ON boots WHEN NEW.version <= OLD.version BEGIN
    SELECT RAISE(ABORT, 'each change of a boot has a higher version');
END;

-- States of IMA replays. Apart, since they are large and most attestations leave them as they are.
CREATE TABLE boot_ima (
    device TEXT NOT NULL PRIMARY KEY REFERENCES boots (device),
    state  TEXT NOT NULL
) STRICT;

-- Parts of IMA lists that came before the quote that will vouch for them. Offsets are unsigned, kept as the signed number
-- of the same bits.
CREATE TABLE boot_ima_ahead (
    device      TEXT    NOT NULL PRIMARY KEY REFERENCES boots (device),
    boot        TEXT    NOT NULL,
    list_offset INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    at_ms       INTEGER NOT NULL
) STRICT;

-- The forbidden signature database that is in force, for each architecture.
CREATE TABLE dbx (
    architecture   TEXT    NOT NULL PRIMARY KEY,
    digest         BLOB    NOT NULL CHECK (length(digest) = 32),
    timestamp_ms   INTEGER,
    imported_at_ms INTEGER NOT NULL,
    bytes          BLOB    NOT NULL
) STRICT;
