-- The Merkle tree over the entries (docs/audit-log.md): where it stands, its finished tiles, and what was signed.

-- tree_size: how many entries are in the tree. It is seq once entries of before this version have been taken in.
-- edges: the unfinished tile of each level, the entries' digests first, then levels 0, 1, …
ALTER TABLE head ADD COLUMN tree_size bigint NOT NULL DEFAULT 0 CHECK (tree_size >= 0);
ALTER TABLE head ADD COLUMN edges bytea[] NOT NULL DEFAULT '{}';
-- Hashes can't be compressed.
ALTER TABLE head ALTER COLUMN edges SET STORAGE EXTERNAL;

-- A finished tile: 256 hashes, never changed again. Level -1 holds the digests of entries.
CREATE TABLE tile (
    level   smallint NOT NULL CHECK (level BETWEEN -1 AND 7),
    number  bigint   NOT NULL CHECK (number >= 0),
    content bytea    NOT NULL CHECK (octet_length(content) = 8192),
    PRIMARY KEY (level, number)
);
ALTER TABLE tile ALTER COLUMN content SET STORAGE EXTERNAL;

-- The newest checkpoint of each hour; the very newest is also kept outside this database. rollover: after how many.
CREATE TABLE checkpoint (
    rollover  bigint      NOT NULL,
    hour      timestamptz NOT NULL,
    size      bigint      NOT NULL CHECK (size >= 0),
    root      bytea       NOT NULL CHECK (octet_length(root) = 32),
    note      text        NOT NULL,
    verifier  text        NOT NULL,
    signed_at timestamptz NOT NULL,
    PRIMARY KEY (rollover, hour)
);
CREATE INDEX checkpoint_size ON checkpoint (rollover, size);

-- Keys that have signed, as verifiers are handed on; never removed, so that old checkpoints stay verifiable.
CREATE TABLE log_key (
    verifier      text        PRIMARY KEY,
    first_used_at timestamptz NOT NULL,
    first_size    bigint      NOT NULL
);

-- A restored database that does not hold what was signed: accepted by a person, under a new name of the log.
CREATE TABLE rollover (
    number      bigint      PRIMARY KEY CHECK (number >= 1),
    lost_note   text        NOT NULL,
    lost_size   bigint      NOT NULL,
    lost_root   bytea       NOT NULL,
    kept_size   bigint      NOT NULL,
    accepted_by text        NOT NULL,
    reason      text        NOT NULL,
    accepted_at timestamptz NOT NULL
);

-- The login may add tiles, keys and rollovers, never change or remove them.
GRANT UPDATE (seq, hash, tree_size, edges) ON head TO headgate_audit;
GRANT SELECT, INSERT ON tile, log_key, rollover TO headgate_audit;
GRANT SELECT, INSERT, UPDATE ON checkpoint TO headgate_audit;
