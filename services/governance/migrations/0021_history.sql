-- Rules may read the verdicts before: a GO by such a policy has seen those up to this number. NULL: it reads none.
ALTER TABLE valid_gos ADD COLUMN history_number bigint;
