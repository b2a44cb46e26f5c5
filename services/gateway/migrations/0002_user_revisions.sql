-- Counts the changes of a user, so that services which hear of them in another order know the newest.
ALTER TABLE users ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision >= 1);
