-- Who said that they saw a verdict. One row for each person, however often they look; it stays as long as the verdict.
CREATE TABLE verdict_seen (
    run_id bigint NOT NULL REFERENCES runs,
    username text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL CHECK (last_seen_at >= first_seen_at),
    PRIMARY KEY (run_id, username)
);
CREATE INDEX verdict_seen_first ON verdict_seen (run_id, first_seen_at, username);

GRANT SELECT, INSERT, UPDATE ON verdict_seen TO headgate_governance;
