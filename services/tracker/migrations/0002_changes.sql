-- Counts the changes of an item that somebody is told of: what If-Match compares. It begins with this version.
ALTER TABLE item ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision >= 1);

-- The ledger: a row per change of an item that somebody is told of, only ever added to. What happened before this
-- version is not in it.
CREATE TABLE item_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item bigint NOT NULL REFERENCES item,
    episode integer NOT NULL,
    revision integer NOT NULL,
    kind text NOT NULL CHECK (kind ~ '^[a-z_]{1,40}$'),
    at timestamptz NOT NULL,
    actor text NOT NULL,
    -- The id of the command or event that was applied, and of the run that made the change, if one did.
    cause uuid NOT NULL,
    run_id bigint,
    -- The names of the fields that changed, and their values; the detail of a rule is kept by its run and not again here.
    changed text[] NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL
);
-- The history of one item, newest first.
CREATE INDEX item_change_of_item ON item_change (item, id DESC);

GRANT SELECT, INSERT ON item_change TO headgate_tracker;
