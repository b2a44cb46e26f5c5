-- People as the gateway tells of them. What the tracker itself knows of a person stands beside: the limit of open items.
CREATE TABLE person (
    username text PRIMARY KEY CHECK (username ~ '^[a-z0-9-]{1,40}$'),
    role text NOT NULL,
    sites text[] NOT NULL,
    display_name text NOT NULL,
    active boolean NOT NULL,
    revision integer NOT NULL,
    max_open_items integer CHECK (max_open_items BETWEEN 0 AND 10000)
);

-- One row: since when all people are known, NULL until the gateway was asked for those who were there before. Its lock
-- puts runs that assign items in order, so that each sees the loads that the one before left.
CREATE TABLE people_known (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    since timestamptz
);
INSERT INTO people_known DEFAULT VALUES;

CREATE TABLE absence (
    absence_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL REFERENCES person,
    away_from timestamptz NOT NULL,
    away_to timestamptz NOT NULL CHECK (away_to > away_from),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    cancelled_by text,
    cancelled_at timestamptz
);
CREATE INDEX absence_of_person ON absence (username, away_to) WHERE cancelled_at IS NULL;

-- What waits for a person, in the order in which it is given out.
CREATE INDEX item_unassigned ON item (site, priority, due_at, id)
    WHERE is_active AND status <> 'done' AND assignee IS NULL;
-- What a person has to do, wherever.
CREATE INDEX item_in_hand ON item (assignee, site, priority, due_at) WHERE is_active AND status <> 'done';

GRANT SELECT, INSERT, UPDATE ON person, absence TO headgate_tracker;
GRANT SELECT, UPDATE ON people_known TO headgate_tracker;
