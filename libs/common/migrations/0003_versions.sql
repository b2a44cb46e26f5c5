-- What people publish, such as calendars and chains: one row per version, for good. The newest version of a site is in
-- force there; a site without one has that of `global`.
CREATE TABLE document_version (
    kind text NOT NULL,
    site text NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    -- Canonical JSON as it was digested, so that a roll-back can give back the very bytes.
    content text NOT NULL,
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    author text NOT NULL,
    reason text NOT NULL,
    restores integer,
    published_at timestamptz NOT NULL,
    PRIMARY KEY (kind, site, version),
    CHECK (restores < version)
);

GRANT SELECT, INSERT ON document_version TO {login};
