-- What the tracker tells of its items: whose work is how much, so that the cheapest way to GO can mind it. Numbers of
-- items only grow newer; rows of closed ones stay for as long as an older word may still come.
CREATE TABLE item_loads (
    item_id bigint PRIMARY KEY,
    revision integer NOT NULL,
    site text NOT NULL,
    gate text NOT NULL,
    subject text NOT NULL,
    line text NOT NULL,
    owner_role text NOT NULL,
    is_open boolean NOT NULL,
    heard_at timestamptz NOT NULL
);
CREATE INDEX item_loads_open ON item_loads (site, owner_role) WHERE is_open;
CREATE INDEX item_loads_closed ON item_loads (heard_at) WHERE NOT is_open;
CREATE TABLE loads_known (
    site text PRIMARY KEY,
    since timestamptz NOT NULL  -- nothing was heard of the site before
);
GRANT SELECT, INSERT, UPDATE, DELETE ON item_loads TO headgate_governance;
GRANT SELECT, INSERT ON loads_known TO headgate_governance;
