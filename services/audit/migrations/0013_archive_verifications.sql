-- Verifications of stored archives in the background: what is too large for the time of an answer.
CREATE TABLE archive_verification (
    number      bigint      PRIMARY KEY CHECK (number >= 1),
    month       text        NOT NULL,
    sha256      text        NOT NULL,
    status      text        NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'valid', 'broken')),
    stage       text        NOT NULL DEFAULT 'reading' CHECK (stage IN ('reading', 'files', 'tree', 'entries')),
    stage_done  bigint      NOT NULL DEFAULT 0,
    stage_total bigint      NOT NULL,
    file_count  bigint      NOT NULL DEFAULT 0,
    entry_count bigint      NOT NULL DEFAULT 0,
    problem     text,
    started_by  text        NOT NULL,
    started_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK ((status = 'running') = (finished_at IS NULL)),
    CHECK ((status = 'broken') = (problem IS NOT NULL))
);
-- One at a time.
CREATE UNIQUE INDEX archive_verification_running ON archive_verification (status) WHERE status = 'running';

-- What has ended is never changed, whatever the service's code does.
CREATE FUNCTION keep_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'running' THEN
        RAISE EXCEPTION 'verification % of an archive has ended', OLD.number;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_ended BEFORE UPDATE ON archive_verification FOR EACH ROW EXECUTE FUNCTION keep_ended();

GRANT SELECT, INSERT ON archive_verification TO headgate_audit;
GRANT UPDATE (
    sha256, status, stage, stage_done, stage_total, file_count, entry_count, problem, updated_at, finished_at
) ON archive_verification TO headgate_audit;
