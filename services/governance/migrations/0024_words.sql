-- What persons approve beside candidates. A person stands in for somebody who is away.
ALTER TABLE approvals DROP CONSTRAINT approvals_about_check;
ALTER TABLE approvals ADD CONSTRAINT approvals_about_check
    CHECK (about IN ('candidate', 'waiver', 'policy', 'override', 'retirement', 'baseline'));

CREATE TABLE delegations (
    delegation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    from_user text NOT NULL,
    to_user text NOT NULL CHECK (to_user <> from_user),
    begins_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > begins_at),
    reason text NOT NULL,
    delegated_at timestamptz NOT NULL,
    -- Who delegates, as the gateway told last: whoever may no longer approve can't have it done either.
    role text NOT NULL,
    is_able boolean NOT NULL DEFAULT true,
    revision bigint NOT NULL DEFAULT 0,
    ended_by text,
    ended_at timestamptz,
    end_reason text
);
CREATE INDEX delegations_site ON delegations (site, delegation_id DESC);
CREATE INDEX delegations_standing ON delegations (from_user, site) WHERE ended_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON delegations TO headgate_governance;
