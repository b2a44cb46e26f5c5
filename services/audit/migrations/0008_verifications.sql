-- Verifications of the log, made in pieces: each row says how far one is, so that it goes on there after a crash.
-- checked: the last entry that fits; from_size: where it began. last_hash and edges are the chain's and the tree's end
-- there, as it recomputed them: never more than some 8 KB a level, whatever the log's size.
CREATE TABLE verification (
    number           bigint      PRIMARY KEY CHECK (number >= 1),
    mode             text        NOT NULL CHECK (mode IN ('whole', 'incremental')),
    status           text        NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'valid', 'broken')),
    from_size        bigint      NOT NULL CHECK (from_size >= 0),
    total            bigint      NOT NULL CHECK (total >= from_size),
    checked          bigint      NOT NULL CHECK (checked BETWEEN from_size AND total),
    last_hash        bytea       NOT NULL CHECK (octet_length(last_hash) = 32),
    edges            bytea[]     NOT NULL,
    checkpoint_count bigint      NOT NULL DEFAULT 0,
    first_bad_seq    bigint,
    problem          text,
    started_by       text        NOT NULL,
    started_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    CHECK ((status = 'running') = (finished_at IS NULL)),
    CHECK ((status = 'broken') = (problem IS NOT NULL))
);
ALTER TABLE verification ALTER COLUMN edges SET STORAGE EXTERNAL;
-- One at a time.
CREATE UNIQUE INDEX verification_running ON verification (status) WHERE status = 'running';

-- What has ended is never changed, and what was checked is never taken back, whatever the service's code does.
CREATE FUNCTION keep_verified() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'running' THEN
        RAISE EXCEPTION 'verification % has ended', OLD.number;
    END IF;
    IF NEW.checked < OLD.checked THEN
        RAISE EXCEPTION 'verification % has checked % entries already', OLD.number, OLD.checked;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_verified BEFORE UPDATE ON verification FOR EACH ROW EXECUTE FUNCTION keep_verified();

GRANT SELECT, INSERT, UPDATE ON verification TO headgate_audit;
