-- Bodies of entries that were removed when their time was over. What is left proves the chain and the tree as before.
ALTER TABLE entry ALTER COLUMN payload DROP NOT NULL;

CREATE TABLE erasure (
    seq            bigint      PRIMARY KEY REFERENCES entry,
    payload_bytes  bigint      NOT NULL,
    payload_sha256 bytea       NOT NULL CHECK (octet_length(payload_sha256) = 32),
    erased_at      timestamptz NOT NULL
);
-- How far each class was looked at.
CREATE TABLE erasing (
    class     text   PRIMARY KEY,
    after_seq bigint NOT NULL
);
GRANT SELECT ON erasure TO headgate_audit;
GRANT SELECT, INSERT, UPDATE ON erasing TO headgate_audit;

-- The only way in which a stored entry ever changes: its body goes, and its size and SHA-256 stay. It runs with the
-- rights of the tables' owner, so it keeps the bounds itself, whatever the service's code asks for: a page, only what
-- lies in one frozen archive, and nothing younger than 90 days.
CREATE FUNCTION erase_bodies(after_seq bigint, last_seq bigint, class text, finer text[], before timestamptz)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = audit, pg_temp AS $$
DECLARE
    erased bigint;
BEGIN
    IF before > now() - interval '90 days' THEN
        RAISE EXCEPTION 'entries younger than 90 days keep their bodies';
    END IF;
    IF last_seq - after_seq > 10000 THEN
        RAISE EXCEPTION 'at most 10000 entries are looked at';
    END IF;
    IF NOT EXISTS (
        SELECT FROM archive WHERE state = 'frozen' AND archive.first_seq <= erase_bodies.after_seq + 1
            AND archive.last_seq >= erase_bodies.last_seq
    ) THEN
        RAISE EXCEPTION 'entries % to % are in no frozen archive', after_seq + 1, last_seq;
    END IF;
    WITH gone AS (
        INSERT INTO erasure (seq, payload_bytes, payload_sha256, erased_at)
        SELECT entry.seq, octet_length(payload), sha256(payload), now() FROM entry
        WHERE entry.seq > erase_bodies.after_seq AND entry.seq <= erase_bodies.last_seq
            AND entry.recorded_at < erase_bodies.before AND entry.payload IS NOT NULL
            AND starts_with(entry.type, 'headgate.' || class)
            AND NOT EXISTS (SELECT FROM unnest(finer) AS one WHERE starts_with(entry.type, 'headgate.' || one))
        RETURNING erasure.seq
    )
    UPDATE entry SET payload = NULL FROM gone WHERE entry.seq = gone.seq;
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END $$;
REVOKE EXECUTE ON FUNCTION erase_bodies FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_bodies TO headgate_audit;
