-- Published policies: rows that nobody changes or deletes. The content is the very text that was digested. Where there is
-- no row, the policy of the file is in force.
CREATE TABLE policies (
    gate text NOT NULL,
    site text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    content text NOT NULL,
    digest text NOT NULL,
    author text NOT NULL,
    reason text NOT NULL,
    issue text,
    restores integer,
    published_at timestamptz NOT NULL,
    PRIMARY KEY (gate, site, version)
);
-- What somebody is still writing: one of a gate and site, without any effect.
CREATE TABLE policy_drafts (
    gate text NOT NULL,
    site text NOT NULL,
    content text NOT NULL,
    digest text NOT NULL,
    saved_by text NOT NULL,
    saved_at timestamptz NOT NULL,
    PRIMARY KEY (gate, site)
);
-- Which versions a run was judged by: everywhere's (0: the file) and the site's own (0: it had none).
ALTER TABLE runs
    ADD COLUMN policy_version integer NOT NULL DEFAULT 0,
    ADD COLUMN site_policy_version integer NOT NULL DEFAULT 0;

GRANT SELECT, INSERT ON policies TO headgate_governance;
GRANT SELECT, INSERT, UPDATE, DELETE ON policy_drafts TO headgate_governance;
