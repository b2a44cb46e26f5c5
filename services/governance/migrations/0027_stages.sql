-- Stages: a rule may rest on another gate's GO. Since when a GO holds without an end, whether its line was derived by the
-- policy, and of the GOs of other gates that it rests on: the newest run, and when the first of them is over.
ALTER TABLE valid_gos
    ADD COLUMN since timestamptz,
    ADD COLUMN line_derived boolean NOT NULL DEFAULT false,
    ADD COLUMN stage_gates text[] NOT NULL DEFAULT '{}',
    ADD COLUMN stage_run_ids bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN stage_untils timestamptz[] NOT NULL DEFAULT '{}';
UPDATE valid_gos SET since = decided_at;
ALTER TABLE valid_gos ALTER COLUMN since SET NOT NULL;
-- The versions of a subject, those first heard of last.
CREATE INDEX versions_seen_newest ON versions_seen (site, subject, first_at DESC);
