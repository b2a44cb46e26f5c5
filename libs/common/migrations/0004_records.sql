-- A third kind of message leaves by the outbox: what became of a command, for the audit log alone.
ALTER TABLE outbox DROP CONSTRAINT outbox_kind_check;
ALTER TABLE outbox ADD CONSTRAINT outbox_kind_check CHECK (kind IN ('event', 'command', 'record')) NOT VALID;
