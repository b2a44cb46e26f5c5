-- Links that were used. Each is for one step and one reader, and does something once.
CREATE TABLE used_link (
    key uuid NOT NULL REFERENCES escalation_step,
    actor text NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (key, actor)
);
GRANT SELECT, INSERT ON used_link TO headgate_tracker;
