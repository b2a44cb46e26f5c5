-- Facts that people ended: what was said of a part, by a sender or of a test up to a signal. Rows are never deleted.
CREATE TABLE retirements (
    retirement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    subject text NOT NULL,
    version text NOT NULL,
    kind text NOT NULL,
    part text NOT NULL,
    what text NOT NULL CHECK (what IN ('part', 'sender', 'test')),
    test text NOT NULL,
    signal_id bigint NOT NULL,
    seen_at timestamptz NOT NULL,
    reason text NOT NULL,
    issue text NOT NULL,
    retired_by text NOT NULL,
    retired_at timestamptz NOT NULL,
    approved_by text NOT NULL DEFAULT '' CHECK (approved_by <> retired_by),  -- two persons, whatever the code does
    approved_at timestamptz,
    approval_reason text,
    ended_by text,
    ended_at timestamptz,
    end_reason text
);
CREATE INDEX retirements_site ON retirements (site, retirement_id DESC);
CREATE INDEX retirements_in_force ON retirements (site, subject) WHERE ended_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON retirements TO headgate_governance;
-- What the last GOs of a subject used, whichever gate and line.
CREATE INDEX gate_lines_subject ON gate_lines (site, subject);
