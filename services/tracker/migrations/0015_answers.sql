-- What the notifier answered for a step: NULL until it did. cause: the message that had it told, which a run knows.
ALTER TABLE escalation_step
    ADD COLUMN cause uuid,
    ADD COLUMN dispatched boolean,
    ADD COLUMN answer jsonb,
    ADD COLUMN answered_at timestamptz,
    ADD CHECK ((answered_at IS NULL) = (dispatched IS NULL) AND (answered_at IS NULL) = (answer IS NULL));
CREATE INDEX escalation_step_of_run ON escalation_step (cause) WHERE cause IS NOT NULL;
-- Levels that nobody was told of.
CREATE INDEX escalation_unreached ON escalation (site) WHERE NOT reached AND level > 0 AND acknowledged_at IS NULL;

GRANT UPDATE (dispatched, answer, answered_at) ON escalation_step TO headgate_tracker;
