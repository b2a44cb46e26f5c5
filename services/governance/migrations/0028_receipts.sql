-- The event that told a run: by its id the audit log finds the entry that proves it. None for runs of before.
ALTER TABLE runs ADD COLUMN decided_event uuid;
