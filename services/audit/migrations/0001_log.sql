-- The audit log: one hash chain, written by one writer. The format is described in docs/audit-log.md.

-- One row: where the chain ends. The writer locks it, so two writers can never fork the chain.
CREATE TABLE head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq      bigint  NOT NULL CHECK (seq >= 0),
    hash     bytea   NOT NULL CHECK (octet_length(hash) = 32)
);
INSERT INTO head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- payload holds the very bytes that arrived; the columns from event_id to correlationid are copies out of it,
-- for filters only: verification reads them out of the payload again and compares.
CREATE TABLE entry (
    seq           bigint      PRIMARY KEY CHECK (seq >= 1),
    event_id      uuid        NOT NULL UNIQUE,
    type          text        NOT NULL,
    source        text        NOT NULL,
    site          text        NOT NULL,
    actor         text        NOT NULL,
    subject       text        NOT NULL,
    time          timestamptz NOT NULL,
    causationid   uuid,
    correlationid uuid,
    recorded_at   timestamptz NOT NULL,
    payload       bytea       NOT NULL,
    prev_hash     bytea       NOT NULL UNIQUE CHECK (octet_length(prev_hash) = 32),
    hash          bytea       NOT NULL CHECK (octet_length(hash) = 32)
);

-- Lists are newest first, so the filters that leave many rows end with seq and need no sort.
CREATE INDEX entry_site ON entry (site, seq);
CREATE INDEX entry_type ON entry (type, seq);
CREATE INDEX entry_actor ON entry (actor, seq);
CREATE INDEX entry_subject ON entry (subject, seq);
-- These leave few rows.
CREATE INDEX entry_causation ON entry (causationid) WHERE causationid IS NOT NULL;
CREATE INDEX entry_correlation ON entry (correlationid) WHERE correlationid IS NOT NULL;
CREATE INDEX entry_time ON entry (time);

-- The login may add and read entries, never change or remove them.
GRANT SELECT, INSERT ON entry TO headgate_audit;
GRANT SELECT, UPDATE (seq, hash) ON head TO headgate_audit;
