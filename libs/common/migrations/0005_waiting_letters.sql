-- A message that only a newer version knows waits for it before it counts as dead.
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_state_check;
ALTER TABLE dead_letters ADD CONSTRAINT dead_letters_state_check
    CHECK (state IN ('held', 'replayed', 'dropped', 'waiting'));
CREATE INDEX dead_letters_waiting ON dead_letters (consumer, message_type, letter_id) WHERE state = 'waiting';
