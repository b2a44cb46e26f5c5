-- Lines: which versions of a subject follow each other. A line has its own latest verdict and its own baseline; '' is
-- the line of all versions where nobody draws lines. The head goes on numbering and ordering all runs of a subject.
CREATE TABLE gate_lines (
    gate text NOT NULL,
    site text NOT NULL,
    subject text NOT NULL,
    line text NOT NULL,
    version text NOT NULL,
    decision text NOT NULL CHECK (decision IN ('go', 'no_go')),
    last_go_run_id bigint REFERENCES runs,  -- the baseline of the next run
    baseline_version text,
    PRIMARY KEY (gate, site, subject, line),
    CHECK ((last_go_run_id IS NULL) = (baseline_version IS NULL))
);
INSERT INTO gate_lines (gate, site, subject, line, version, decision, last_go_run_id, baseline_version)
SELECT heads.gate, heads.site, heads.subject, '', heads.version, heads.decision, runs.run_id, runs.version
FROM gate_heads AS heads LEFT JOIN runs ON runs.run_id = heads.last_go_run_id
WHERE heads.decision IS NOT NULL;
ALTER TABLE gate_heads DROP COLUMN version, DROP COLUMN decision, DROP COLUMN last_go_run_id;

ALTER TABLE runs ADD COLUMN line text NOT NULL DEFAULT '';
ALTER TABLE valid_gos
    ADD COLUMN line text NOT NULL DEFAULT '',
    DROP CONSTRAINT valid_gos_pkey,
    ADD PRIMARY KEY (gate, site, subject, version, line);

-- When each version was first heard of, by effective time. Signals are pruned, this stays: it tells which of two
-- versions is the older one.
CREATE TABLE versions_seen (
    site text NOT NULL,
    subject text NOT NULL,
    version text NOT NULL,
    first_at timestamptz NOT NULL,
    PRIMARY KEY (site, subject, version)
);
INSERT INTO versions_seen (site, subject, version, first_at)
SELECT site, subject, version, min(at) FROM (
    SELECT site, subject, version, least(time, received_at) AS at FROM signals
    UNION ALL SELECT site, subject, version, decided_at FROM runs  -- of one whose signals are gone
) AS known WHERE version <> '' GROUP BY site, subject, version;

GRANT SELECT, INSERT, UPDATE ON gate_lines, versions_seen TO headgate_governance;
