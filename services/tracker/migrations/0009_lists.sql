-- Lists of a gate's items by due time, by what changed last, and of one person's items in either order.
CREATE INDEX item_by_due ON item (site, gate, is_active DESC, due_order, id);
CREATE INDEX item_by_update ON item (site, gate, updated_at DESC, id DESC);
CREATE INDEX item_of_person ON item (site, gate, assignee, is_active DESC, priority, due_order, id)
    WHERE assignee IS NOT NULL;
CREATE INDEX item_of_person_by_due ON item (site, gate, assignee, is_active DESC, due_order, id)
    WHERE assignee IS NOT NULL;
