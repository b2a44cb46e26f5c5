-- What seals from where somebody's commands came, in the audit log and all copies of it. A key is there to be destroyed:
-- then nobody reads these texts any more, and the log still proves them. '' is of those who are nobody known.
CREATE TABLE personal_key (
    holder     text        PRIMARY KEY CHECK (length(holder) <= 100),
    key        bytea       NOT NULL CHECK (octet_length(key) = 32),
    created_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, DELETE ON personal_key TO headgate_gateway;
