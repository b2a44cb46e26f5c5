-- Share links. What opens one is never stored: 256 random bits are known by their SHA-256.

CREATE TABLE share (
    share_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret_sha256 bytea       NOT NULL UNIQUE CHECK (octet_length(secret_sha256) = 32),
    site          text        NOT NULL REFERENCES sites,
    kind          text        NOT NULL CHECK (kind IN ('run', 'plan', 'board', 'capsule')),
    gate          text        NOT NULL,
    run_id        bigint,
    subject       text,
    version       text,
    line          text,
    label         text,
    created_at    timestamptz NOT NULL,
    -- Whose right it is bound to: what this person may not do any more, the link does not either.
    created_by    text        NOT NULL REFERENCES users,
    expires_at    timestamptz NOT NULL,
    max_uses      integer     NOT NULL CHECK (max_uses > 0),
    use_count     integer     NOT NULL DEFAULT 0 CHECK (use_count BETWEEN 0 AND max_uses),
    revoked_at    timestamptz,
    revoked_by    text
);
CREATE INDEX share_of_site ON share (site, share_id DESC);
CREATE INDEX share_of_person ON share (created_by, expires_at);
CREATE INDEX share_expiring ON share (expires_at);

-- When and from where each was opened.
CREATE TABLE share_use (
    share_id bigint      NOT NULL REFERENCES share ON DELETE CASCADE,
    use      integer     NOT NULL CHECK (use > 0),
    at       timestamptz NOT NULL,
    address  text        NOT NULL,
    agent    text        NOT NULL,
    PRIMARY KEY (share_id, use)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON share TO headgate_gateway;
GRANT SELECT, INSERT, DELETE ON share_use TO headgate_gateway;
