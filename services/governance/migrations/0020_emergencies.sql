-- Words on versions, such as hotfix: calendars and halts may exempt them.
CREATE TABLE version_labels (
    label_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    subject text NOT NULL,
    version text NOT NULL,
    label text NOT NULL,
    reason text NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    removed_by text,
    removed_at timestamptz,
    remove_reason text
);
CREATE INDEX version_labels_site ON version_labels (site, label_id DESC);
CREATE UNIQUE INDEX version_labels_once ON version_labels (site, subject, version, label) WHERE removed_at IS NULL;
ALTER TABLE halts ADD COLUMN exempt_labels text[] NOT NULL DEFAULT '{}';

-- Emergency overrides: one for a run, whatever the code does.
CREATE TABLE overrides (
    override_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    gate text NOT NULL,
    subject text NOT NULL,
    line text NOT NULL,
    version text NOT NULL,
    run_id bigint NOT NULL UNIQUE REFERENCES runs,
    reason text NOT NULL CHECK (length(reason) >= 50),
    issue text NOT NULL,
    given_by text NOT NULL,
    given_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    confirm_until timestamptz NOT NULL,
    evidence jsonb NOT NULL,
    evidence_sha256 text NOT NULL,
    confirmed_by text CHECK (confirmed_by <> given_by),
    confirmed_at timestamptz,
    confirm_reason text,
    revoked_by text,
    revoked_at timestamptz,
    revoke_reason text,
    flagged_at timestamptz
);
CREATE INDEX overrides_site ON overrides (site, override_id DESC);
CREATE INDEX overrides_standing ON overrides (site, gate, subject, version) WHERE revoked_at IS NULL;
CREATE INDEX overrides_unconfirmed ON overrides (confirm_until)
    WHERE confirmed_by IS NULL AND flagged_at IS NULL AND revoked_at IS NULL;

-- Exceptions that a site has made: rows are never changed or deleted, so nothing is given back.
CREATE TABLE exception_spends (
    spend_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('waiver', 'override', 'forced_completion', 'baseline')),
    ref text NOT NULL,
    gate text NOT NULL,
    subject text NOT NULL,
    what text NOT NULL,
    spent_by text NOT NULL,
    spent_at timestamptz NOT NULL,
    UNIQUE (site, kind, ref)
);
CREATE INDEX exception_spends_time ON exception_spends (site, kind, spent_at);

ALTER TABLE runs
    ADD COLUMN labels text[] NOT NULL DEFAULT '{}',
    ADD COLUMN override jsonb;

-- What was approved before there was a budget has been spent, too.
INSERT INTO exception_spends (site, kind, ref, gate, subject, what, spent_by, spent_at)
SELECT site, 'waiver', waiver_id::text, gate, subject, rule_id, decided_by, decided_at FROM waivers
WHERE begins_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON version_labels, overrides TO headgate_governance;
GRANT SELECT, INSERT ON exception_spends TO headgate_governance;
