-- A row of an archive proves nothing, since the login may insert one. Bodies go only if the log itself says that this very
-- archive was made: whoever forges that as well has to leave it in the log for good. The entries that say so keep their
-- bodies, as those that tell of removals do.
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
    IF NOT EXISTS (
        SELECT FROM archive
        JOIN entry ON entry.type = 'headgate.audit.archive.made.v1' AND entry.source = '/headgate/audit'
            AND entry.seq > archive.last_seq AND entry.seq <= (SELECT head.tree_size FROM head)
            AND entry.payload IS NOT NULL
        CROSS JOIN LATERAL (SELECT convert_from(entry.payload, 'UTF8')::jsonb -> 'data' AS data) AS told
        WHERE archive.state = 'frozen' AND archive.first_seq <= erase_bodies.after_seq + 1
            AND archive.last_seq >= erase_bodies.last_seq
            AND told.data @> jsonb_build_object(
                'state', 'frozen', 'month', archive.month, 'sha256', archive.sha256,
                'manifest_sha256', archive.manifest_sha256, 'first_seq', archive.first_seq,
                'last_seq', archive.last_seq
            )
    ) THEN
        RAISE EXCEPTION 'no entry of the log says that the archive of entries % to % was made', after_seq + 1, last_seq;
    END IF;
    WITH gone AS (
        INSERT INTO erasure (seq, payload_bytes, payload_sha256, erased_at)
        SELECT entry.seq, octet_length(payload), sha256(payload), now() FROM entry
        WHERE entry.seq > erase_bodies.after_seq AND entry.seq <= erase_bodies.last_seq
            AND entry.recorded_at < erase_bodies.before AND entry.payload IS NOT NULL
            AND starts_with(entry.type, 'headgate.' || class)
            AND entry.type NOT IN ('headgate.audit.bodies.erased.v1', 'headgate.audit.archive.made.v1')
            AND NOT EXISTS (SELECT FROM unnest(finer) AS one WHERE starts_with(entry.type, 'headgate.' || one))
        RETURNING erasure.seq
    )
    UPDATE entry SET payload = NULL FROM gone WHERE entry.seq = gone.seq;
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END $$;
