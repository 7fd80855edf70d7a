-- The first schema.
--
-- Instants are milliseconds since 1970 (…_ms). Identifiers are text, so that people can read them with the sqlite3 shell;
-- digests and what a TPM signed are bytes. Unsigned 64-bit numbers of a TPM are kept as the signed number of the same bits.

CREATE TABLE images (
    id            TEXT    NOT NULL PRIMARY KEY,
    created_at_ms INTEGER NOT NULL,
    reference     TEXT    NOT NULL,
    retired_at_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE join_tokens (
    id            TEXT    NOT NULL PRIMARY KEY,
    secret_digest BLOB    NOT NULL UNIQUE CHECK (length(secret_digest) = 32),
    label         TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    max_uses      INTEGER NOT NULL CHECK (max_uses BETWEEN 0 AND 4294967295),
    uses          INTEGER NOT NULL CHECK (uses BETWEEN 0 AND max_uses),
    pinned_ek     BLOB    CHECK (length(pinned_ek) = 32),
    image         TEXT    REFERENCES images (id),
    sha1_consent  INTEGER NOT NULL CHECK (sha1_consent IN (0, 1)),
    revoked_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- What changes about a device, with pointers to the latest of what is only ever added. The pointers are foreign keys, so
-- that nothing which a device points to can be purged; deferred, since device and enrolment are added together.
CREATE TABLE devices (
    id                 TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    state              TEXT    NOT NULL CHECK (state IN ('active', 'revoked')),
    revocation_reason  TEXT,
    endorsement        TEXT    NOT NULL CHECK (endorsement IN ('none', 'pinned', 'vendor')),
    sha1_consent       INTEGER NOT NULL CHECK (sha1_consent IN (0, 1)),
    enrolled_at_ms     INTEGER NOT NULL,
    image              TEXT    REFERENCES images (id),
    facts              TEXT    NOT NULL,
    enrolment          TEXT    NOT NULL REFERENCES enrolments (id) DEFERRABLE INITIALLY DEFERRED,
    certificate_digest BLOB    NOT NULL REFERENCES certificates (digest) DEFERRABLE INITIALLY DEFERRED,
    trust_sequence     INTEGER NOT NULL CHECK (trust_sequence > 0),
    attestation_number INTEGER CHECK (attestation_number > 0),
    FOREIGN KEY (id, trust_sequence) REFERENCES trust_history (device, sequence) DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (id, attestation_number) REFERENCES attestations (device, number) DEFERRABLE INITIALLY DEFERRED,
    CHECK (state = 'revoked' OR revocation_reason IS NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX devices_by_image ON devices (image) WHERE image IS NOT NULL;
CREATE INDEX devices_by_certificate ON devices (certificate_digest);

-- The keys that a device proved to hold in one TPM, one row for each time that it proved so.
CREATE TABLE enrolments (
    id              TEXT    NOT NULL PRIMARY KEY,
    device          TEXT    NOT NULL REFERENCES devices (id),
    token           TEXT    NOT NULL REFERENCES join_tokens (id),
    completed_at_ms INTEGER NOT NULL,
    ek_digest       BLOB    NOT NULL CHECK (length(ek_digest) = 32),
    ek_certificate  BLOB,
    ak_public       BLOB    NOT NULL,
    ak_name         BLOB    NOT NULL,
    tls_spki        BLOB    NOT NULL
) STRICT;

CREATE TABLE certificates (
    digest        BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    device        TEXT    NOT NULL REFERENCES devices (id),
    enrolment     TEXT    NOT NULL REFERENCES enrolments (id),
    issued_at_ms  INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX certificates_by_end ON certificates (expires_at_ms);

-- A device's rows are numbered 1, 2, 3 …, and their order is that of the numbers: clocks go back.
CREATE TABLE trust_history (
    device   TEXT    NOT NULL REFERENCES devices (id),
    sequence INTEGER NOT NULL CHECK (sequence > 0),
    at_ms    INTEGER NOT NULL,
    event    TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    PRIMARY KEY (device, sequence)
) STRICT;

-- Finds the row that was in force at an instant without reading the rows after it.
CREATE INDEX trust_by_device_and_time ON trust_history (device, sequence DESC, at_ms);
CREATE INDEX trust_by_time ON trust_history (at_ms);

CREATE TABLE attestations (
    device           TEXT    NOT NULL REFERENCES devices (id),
    number           INTEGER NOT NULL CHECK (number > 0),
    id               TEXT    NOT NULL UNIQUE,
    enrolment        TEXT    NOT NULL REFERENCES enrolments (id),
    nonce_digest     BLOB    NOT NULL CHECK (length(nonce_digest) = 32),
    received_at_ms   INTEGER NOT NULL,
    verdict          TEXT    NOT NULL,
    message          BLOB    NOT NULL,
    signature        BLOB    NOT NULL,
    pcrs             TEXT    NOT NULL,
    clock_ms         INTEGER NOT NULL,
    reset_count      INTEGER NOT NULL CHECK (reset_count BETWEEN 0 AND 4294967295),
    restart_count    INTEGER NOT NULL CHECK (restart_count BETWEEN 0 AND 4294967295),
    clock_safe       INTEGER NOT NULL CHECK (clock_safe IN (0, 1)),
    firmware_version INTEGER NOT NULL,
    PRIMARY KEY (device, number)
) STRICT;

CREATE INDEX attestations_by_time ON attestations (received_at_ms);

CREATE TABLE refusals (
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    device TEXT    NOT NULL REFERENCES devices (id),
    at_ms  INTEGER NOT NULL,
    code   TEXT    NOT NULL,
    detail TEXT    NOT NULL
) STRICT;

CREATE INDEX refusals_by_device ON refusals (device, number);
CREATE INDEX refusals_by_time ON refusals (at_ms);

CREATE TABLE spent_nonces (
    digest        BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    device        TEXT    NOT NULL REFERENCES devices (id),
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX spent_nonces_by_end ON spent_nonces (expires_at_ms);

CREATE TABLE decisions (
    number        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    decided_at_ms INTEGER NOT NULL,
    outcome       TEXT    NOT NULL CHECK (outcome IN ('allow', 'deny')),
    device        TEXT,
    decision      TEXT    NOT NULL,
    request       TEXT    NOT NULL
) STRICT;

CREATE INDEX decisions_by_time ON decisions (decided_at_ms);
CREATE INDEX decisions_by_device ON decisions (device, decided_at_ms) WHERE device IS NOT NULL;
CREATE INDEX denials_by_time ON decisions (decided_at_ms) WHERE outcome = 'deny';

-- How far purging went. Both only ever rise. A nonce that expires no later than the first may have been spent and
-- forgotten, so it counts as spent; a decision may be deleted once the second has passed it. The first instant that RFC 3339
-- can write is -62167219200000.
CREATE TABLE retention (
    id                  INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    nonces_through_ms   INTEGER NOT NULL,
    decisions_before_ms INTEGER NOT NULL
) STRICT;

INSERT INTO retention VALUES (1, -62167219200001, -62167219200000);

CREATE TRIGGER decisions_are_never_changed BEFORE UPDATE ON decisions BEGIN
    SELECT RAISE(ABORT, 'the decision log is append-only');
END;

CREATE TRIGGER decisions_are_deleted_by_retention_alone BEFORE DELETE ON decisions
WHEN OLD.decided_at_ms >= (SELECT decisions_before_ms FROM retention WHERE id = 1) BEGIN
    SELECT RAISE(ABORT, 'the decision log is append-only: retention has not passed this decision');
END;

CREATE TRIGGER attestations_are_never_changed BEFORE UPDATE ON attestations BEGIN
    SELECT RAISE(ABORT, 'attestations are never changed');
END;

CREATE TRIGGER trust_is_never_rewritten BEFORE UPDATE ON trust_history BEGIN
    SELECT RAISE(ABORT, 'trust histories are append-only');
END;

CREATE TRIGGER retention_never_goes_back BEFORE UPDATE ON retention
WHEN NEW.nonces_through_ms < OLD.nonces_through_ms OR NEW.decisions_before_ms < OLD.decisions_before_ms BEGIN
    SELECT RAISE(ABORT, 'what was forgotten stays forgotten');
END;
