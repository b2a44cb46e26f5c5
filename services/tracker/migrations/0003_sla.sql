-- Without an SLA an item has no deadline. Deadlines of old rows stay as they are.
ALTER TABLE item
    ALTER COLUMN sla_hours DROP NOT NULL,
    ALTER COLUMN due_at DROP NOT NULL,
    ADD COLUMN due_by_hand boolean NOT NULL DEFAULT false,
    ADD COLUMN due_reason text NOT NULL DEFAULT '' CHECK (length(due_reason) <= 500),
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN pause_reason text NOT NULL DEFAULT '' CHECK (length(pause_reason) <= 500),
    -- Begin and end of each earlier pause of this episode, one after the other.
    ADD COLUMN pauses timestamptz[] NOT NULL DEFAULT '{}' CHECK (cardinality(pauses) % 2 = 0 AND cardinality(pauses) <= 200),
    -- What lists order by: without a deadline comes last.
    ADD COLUMN due_order timestamptz GENERATED ALWAYS AS (coalesce(due_at, timestamptz 'infinity')) STORED,
    ADD CHECK (due_at IS NOT NULL OR NOT due_by_hand),
    ADD CHECK (due_at IS NOT NULL OR sla_hours IS NULL),
    ADD CHECK ((due_reason = '') = NOT due_by_hand),
    ADD CHECK ((pause_reason = '') = (paused_at IS NULL)),
    ADD CHECK (is_active OR paused_at IS NULL);
-- The deadline that held when the episode ended; until then the one it began with.
ALTER TABLE item_episode ALTER COLUMN due_at DROP NOT NULL;

DROP INDEX item_of_gate, item_of_board, item_active;
CREATE INDEX item_of_gate ON item (site, gate, is_active DESC, priority, due_order, id);
CREATE INDEX item_of_board ON item (site, gate, subject, is_active DESC, priority, due_order, id);
-- All that is counted of active items, without a look at the table: SLA of a gate or a board, and the series.
CREATE INDEX item_counted ON item (site, gate, subject)
    INCLUDE (status, rule_status, required, due_at, paused_at, assignee) WHERE is_active;
