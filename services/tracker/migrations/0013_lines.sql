-- A board for each line of a subject's versions, so that a hotfix's failures are not resolved by a run of another line. What
-- was there before is of the line without a name.
ALTER TABLE item DROP CONSTRAINT item_site_gate_subject_fkey, DROP CONSTRAINT item_site_gate_subject_rule_id_key;
ALTER TABLE board
    ADD COLUMN line text NOT NULL DEFAULT '',
    DROP CONSTRAINT board_pkey,
    ADD PRIMARY KEY (site, gate, subject, line);
ALTER TABLE item
    ADD COLUMN line text NOT NULL DEFAULT '',
    ADD UNIQUE (site, gate, subject, line, rule_id),
    ADD FOREIGN KEY (site, gate, subject, line) REFERENCES board;
