-- Archives of the log by the month; the files lie in the bucket audit-archives under their SHA-256.
CREATE TABLE archive (
    month                 text        PRIMARY KEY CHECK (month ~ '^[0-9]{4}-[0-9]{2}$'),
    state                 text        NOT NULL CHECK (state IN ('open', 'frozen')),
    filename              text        NOT NULL,
    sha256                text        NOT NULL,
    size_bytes            bigint      NOT NULL,
    manifest_sha256       text        NOT NULL,
    origin                text        NOT NULL,
    verifier              text        NOT NULL,
    checkpoint            text        NOT NULL,
    first_seq             bigint      NOT NULL,
    last_seq              bigint      NOT NULL CHECK (last_seq >= first_seq),
    entry_count           bigint      NOT NULL,
    root_hash             text        NOT NULL,
    initial_prev_hash     text        NOT NULL,
    last_entry_hash       text        NOT NULL,
    capsule_count         integer     NOT NULL,
    capsules_left_out     integer     NOT NULL,
    dr_rehearsal_included boolean     NOT NULL,
    made_at               timestamptz NOT NULL,
    made_by               text        NOT NULL
);

-- The archive of a month that is over is never replaced, whatever the service's code does.
CREATE FUNCTION keep_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'frozen' THEN
        RAISE EXCEPTION 'the archive of % is frozen', OLD.month;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_frozen BEFORE UPDATE ON archive FOR EACH ROW EXECUTE FUNCTION keep_frozen();

GRANT SELECT, INSERT, UPDATE ON archive TO headgate_audit;
