-- The login replaces only what its statements replace: a column, not a table. What identifies a row is never changed.
REVOKE UPDATE ON checkpoint, witness, cosignature, archive, erasing, verification FROM headgate_audit;
GRANT UPDATE (size, root, note, verifier, signed_at) ON checkpoint TO headgate_audit;
GRANT UPDATE (state, problem, rollover, size, cosigned_at, asked_at, since) ON witness TO headgate_audit;
GRANT UPDATE (size, root, note, line, signed_at, cosigned_at) ON cosignature TO headgate_audit;
GRANT UPDATE (
    state, filename, sha256, size_bytes, manifest_sha256, origin, verifier, checkpoint, first_seq, last_seq,
    entry_count, root_hash, initial_prev_hash, last_entry_hash, capsule_count, capsules_left_out,
    dr_rehearsal_included, made_at, made_by
) ON archive TO headgate_audit;
GRANT UPDATE (after_seq) ON erasing TO headgate_audit;
GRANT UPDATE (
    checked, last_hash, edges, checkpoint_count, status, first_bad_seq, problem, updated_at, finished_at
) ON verification TO headgate_audit;

-- What was signed over more entries is never replaced by less, whatever the service's code does. An accepted loss has
-- rows of its own (rollover is in the key), so this holds there, too.
CREATE FUNCTION keep_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.size < OLD.size THEN
        RAISE EXCEPTION '% entries were signed, % are fewer', OLD.size, NEW.size;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_signed BEFORE UPDATE ON checkpoint FOR EACH ROW EXECUTE FUNCTION keep_signed();
CREATE TRIGGER keep_signed BEFORE UPDATE ON cosignature FOR EACH ROW EXECUTE FUNCTION keep_signed();
