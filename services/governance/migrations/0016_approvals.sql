-- Approvals: who said what about which evidence. Rows are never deleted; a word that is taken back keeps its row.
CREATE TABLE approvals (
    approval_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    about text NOT NULL CHECK (about IN ('candidate', 'waiver', 'policy', 'override')),
    gate text NOT NULL,
    subject text NOT NULL,
    version text NOT NULL,
    ref text NOT NULL DEFAULT '',  -- which one of what it is about: a waiver's number
    word text NOT NULL CHECK (word IN ('approved', 'declined')),
    username text NOT NULL,
    actor text NOT NULL,  -- the human behind the user
    person text NOT NULL,  -- the human that it counts as
    role text NOT NULL,
    groups text[] NOT NULL,
    reason text NOT NULL,
    given_at timestamptz NOT NULL,
    evidence jsonb NOT NULL,
    evidence_sha256 text NOT NULL,
    withdrawn_by text,
    withdrawn_at timestamptz,
    withdraw_reason text
);
CREATE INDEX approvals_standing ON approvals (site, gate, subject, version, about, ref, approval_id)
    WHERE withdrawn_at IS NULL;
-- One person, one word on one thing, whatever the code does.
CREATE UNIQUE INDEX approvals_once ON approvals (site, gate, subject, version, about, ref, evidence_sha256, person)
    WHERE withdrawn_at IS NULL;

ALTER TABLE runs
    ADD COLUMN evidence jsonb,
    ADD COLUMN evidence_sha256 text,
    ADD COLUMN approvals jsonb NOT NULL DEFAULT '[]';
-- Who ran the gate for a version first.
CREATE INDEX runs_version ON runs (gate, site, subject, version, run_id);

GRANT SELECT, INSERT, UPDATE ON approvals TO headgate_governance;
