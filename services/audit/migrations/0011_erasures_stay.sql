-- The entries that say which bodies were removed are what a verification believes an erasure by: they keep their own.
CREATE OR REPLACE FUNCTION erase_bodies(after_seq bigint, last_seq bigint, class text, finer text[], before timestamptz)
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
            AND entry.type <> 'headgate.audit.bodies.erased.v1'
            AND NOT EXISTS (SELECT FROM unnest(finer) AS one WHERE starts_with(entry.type, 'headgate.' || one))
        RETURNING erasure.seq
    )
    UPDATE entry SET payload = NULL FROM gone WHERE entry.seq = gone.seq;
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END $$;
