-- Who says it. Beside the newest signal of a part (voice '') stands the newest that each actor sent of it, for rules that
-- name who may say it: what somebody else sends later does not hide it. NULL: a signal from before; it has no voice.
ALTER TABLE signals ADD COLUMN actor text;

ALTER TABLE facts
    ADD COLUMN voice text NOT NULL DEFAULT '',
    ADD COLUMN source text,  -- the first, NULL: of before
    ADD COLUMN mixed boolean NOT NULL DEFAULT false,  -- more than one source was seen
    DROP CONSTRAINT facts_pkey,
    ADD PRIMARY KEY (site, subject, version, kind, part, voice);

ALTER TABLE report_heads
    ADD COLUMN voice text NOT NULL DEFAULT '',
    DROP CONSTRAINT report_heads_pkey,
    ADD PRIMARY KEY (site, subject, version, kind, sender, voice);

-- Whose facts the rules of a GO want beside the newest of all: kinds, and patterns (LIKE) of actors.
ALTER TABLE valid_gos
    ADD COLUMN heard_kinds text[] NOT NULL DEFAULT '{}',
    ADD COLUMN heard_actors text[] NOT NULL DEFAULT '{}';
