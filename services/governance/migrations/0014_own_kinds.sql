-- Kinds of one's own as they are declared now: what the newest version of the document `kinds` of `global` says, for
-- signals that come and for verdicts. Signals that came stay as they were kept.
CREATE TABLE own_kinds (
    name text PRIMARY KEY,
    noun text NOT NULL,
    schema text NOT NULL,
    totals jsonb NOT NULL  -- a list of keys
);

GRANT SELECT, INSERT, DELETE ON own_kinds TO headgate_governance;
