-- What witnesses said of the log: another party's cosignatures of its checkpoints.

-- Each witness that was ever named by the settings. size and rollover: the largest tree that it cosigned for us.
CREATE TABLE witness (
    verifier    text        PRIMARY KEY,
    state       text        NOT NULL DEFAULT 'waiting'
                CHECK (state IN ('waiting', 'cosigned', 'refused', 'unreachable', 'forked')),
    problem     text,
    rollover    bigint      NOT NULL DEFAULT 0,
    size        bigint      NOT NULL DEFAULT 0,
    cosigned_at timestamptz,
    asked_at    timestamptz,
    since       timestamptz
);

-- Of each hour the last one of each witness, with the checkpoint that it is of.
CREATE TABLE cosignature (
    rollover    bigint      NOT NULL,
    verifier    text        NOT NULL,
    hour        timestamptz NOT NULL,
    size        bigint      NOT NULL,
    root        bytea       NOT NULL CHECK (octet_length(root) = 32),
    note        text        NOT NULL,
    line        text        NOT NULL,
    signed_at   timestamptz NOT NULL,
    cosigned_at timestamptz NOT NULL,
    PRIMARY KEY (rollover, verifier, hour)
);
CREATE INDEX cosignature_size ON cosignature (rollover, size);

GRANT SELECT, INSERT, UPDATE ON witness, cosignature TO headgate_audit;
