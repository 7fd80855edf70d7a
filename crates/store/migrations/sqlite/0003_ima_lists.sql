-- The IMA lists of the present boots of devices.

-- The parts of each: those that quotes vouched for (vouched = 1), and those that came ahead of their quote (vouched = 0). The
-- bytes lie apart, so that a part is vouched for without being written again.
CREATE TABLE ima_list_parts (
    id             INTEGER NOT NULL PRIMARY KEY,
    device         TEXT    NOT NULL REFERENCES boots (device),
    vouched        INTEGER NOT NULL CHECK (vouched IN (0, 1)),
    list_offset    INTEGER NOT NULL CHECK (list_offset >= 0),
    bytes          INTEGER NOT NULL CHECK (bytes > 0),
    deflated_bytes INTEGER NOT NULL CHECK (deflated_bytes >= 0),
    UNIQUE (device, vouched, list_offset)
) STRICT;

CREATE TABLE ima_list_bytes (
    part     INTEGER NOT NULL PRIMARY KEY REFERENCES ima_list_parts (id) ON DELETE CASCADE,
    deflated BLOB    NOT NULL
) STRICT;

-- Why a list, or what came ahead, is not kept: then no part of it is, until it begins anew.
CREATE TABLE ima_lists_lost (
    device  TEXT    NOT NULL REFERENCES boots (device),
    vouched INTEGER NOT NULL CHECK (vouched IN (0, 1)),
    why     TEXT    NOT NULL CHECK (why IN ('too_long', 'no_room', 'incomplete')),
    PRIMARY KEY (device, vouched)
) STRICT, WITHOUT ROWID;

-- How much room all parts of all devices take.
CREATE TABLE ima_lists_total (
    id             INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    deflated_bytes INTEGER NOT NULL CHECK (deflated_bytes >= 0)
) STRICT;

INSERT INTO ima_lists_total VALUES (1, 0);

CREATE TRIGGER ima_lists_take_room AFTER INSERT ON ima_list_parts BEGIN
    UPDATE ima_lists_total SET deflated_bytes = deflated_bytes + NEW.deflated_bytes WHERE id = 1;
END;

CREATE TRIGGER ima_lists_give_room AFTER DELETE ON ima_list_parts BEGIN
    UPDATE ima_lists_total SET deflated_bytes = deflated_bytes - OLD.deflated_bytes WHERE id = 1;
END;

CREATE TRIGGER ima_list_parts_are_never_changed BEFORE UPDATE ON ima_list_parts
WHEN OLD.vouched = 1 OR NEW.device <> OLD.device OR NEW.list_offset <> OLD.list_offset OR NEW.bytes <> OLD.bytes
    OR NEW.deflated_bytes <> OLD.deflated_bytes
BEGIN
    SELECT RAISE(ABORT, 'parts of IMA lists are vouched for, and never changed');
END;
