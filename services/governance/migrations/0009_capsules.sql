-- Decisions that can be proven: what each verdict was made of, and the signature over it.

-- SHA-256 of the data as the database writes them; of signals that came before, it is counted when it is wanted.
ALTER TABLE signals ADD COLUMN data_sha256 bytea;
ALTER TABLE runs ADD COLUMN capsule_sha256 text;

-- Policies as they were written, by their SHA-256.
CREATE TABLE policy_sources (
    sha256 text PRIMARY KEY,
    source text NOT NULL
);

-- Public keys that have signed, so that what they signed stays verifiable after they have been replaced.
CREATE TABLE capsule_keys (
    key_id text PRIMARY KEY,
    public_key_pem text NOT NULL,
    first_used_at timestamptz NOT NULL
);

-- `body` and `statement` are packed by zlib.
CREATE TABLE capsules (
    run_id bigint PRIMARY KEY REFERENCES runs,
    body bytea NOT NULL,
    statement bytea NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL
);

GRANT SELECT, INSERT ON policy_sources, capsule_keys, capsules TO headgate_governance;
