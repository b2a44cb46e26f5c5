-- What people add to an item. Comments and links leave rows in the ledger; labels are a field of the item.
ALTER TABLE item ADD COLUMN labels text[] NOT NULL DEFAULT '{}' CHECK (cardinality(labels) <= 20);

-- A comment that was withdrawn keeps its place and loses its text.
CREATE TABLE item_comment (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item bigint NOT NULL REFERENCES item,
    author text NOT NULL,
    at timestamptz NOT NULL,
    text text CHECK (length(text) BETWEEN 1 AND 4000),
    withdrawn_by text,
    withdrawn_at timestamptz,
    CHECK ((text IS NULL) = (withdrawn_at IS NOT NULL)),
    CHECK ((withdrawn_by IS NULL) = (withdrawn_at IS NULL))
);
CREATE INDEX item_comment_of_item ON item_comment (item, id DESC);
ALTER TABLE item_change ADD COLUMN comment_id bigint REFERENCES item_comment;

CREATE TABLE item_link (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item bigint NOT NULL REFERENCES item,
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    url text NOT NULL CHECK (length(url) <= 2000),
    added_by text NOT NULL,
    added_at timestamptz NOT NULL
);
CREATE INDEX item_link_of_item ON item_link (item, id);

GRANT SELECT, INSERT, UPDATE ON item_comment TO headgate_tracker;
GRANT SELECT, INSERT, DELETE ON item_link TO headgate_tracker;
