-- What people decided, as a run saw it: what forbade GO beside the rules, and waivers that nothing needed.
ALTER TABLE runs
    ADD COLUMN holds jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN unused_waivers bigint[] NOT NULL DEFAULT '{}';
