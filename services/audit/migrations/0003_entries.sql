-- What an entry says besides (docs/audit-log.md, version 2): copies out of the payload like those before, checked like
-- them. Entries of before stay as they are: they have no version, and none of these.
ALTER TABLE entry ADD COLUMN version smallint;
ALTER TABLE entry ADD COLUMN outcome text;
ALTER TABLE entry ADD COLUMN reason text;
ALTER TABLE entry ADD COLUMN issue text;
ALTER TABLE entry ADD COLUMN trace_id text;
ALTER TABLE entry ADD COLUMN client_address text;
ALTER TABLE entry ADD COLUMN client_agent text;

CREATE INDEX entry_trace ON entry (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX entry_issue ON entry (issue, seq) WHERE issue IS NOT NULL;
-- Nearly all is applied, so that is found without an index.
CREATE INDEX entry_not_applied ON entry (outcome, seq) WHERE outcome <> 'applied';
