-- A subject that is released no more: its board keeps everything, and its open items are active no longer.
ALTER TABLE board ADD COLUMN retired_at timestamptz, ADD COLUMN retired_by text, ADD COLUMN retired_reason text,
    ADD CHECK ((retired_at IS NULL) = (retired_by IS NULL) AND (retired_at IS NULL) = (retired_reason IS NULL));

-- Instead of item_check2, which said: active is what no run has passed yet.
ALTER TABLE item ADD COLUMN retired_at timestamptz, DROP CONSTRAINT item_check2,
    ADD CHECK (is_active = (verified_at IS NULL AND retired_at IS NULL));
-- An episode that no run ended, but the retirement of its subject.
ALTER TABLE item_episode ADD COLUMN retired_at timestamptz, ADD CHECK (retired_at IS NULL OR resolved_at IS NULL);
