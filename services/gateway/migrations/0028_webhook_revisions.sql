-- Counts a webhook's changes, so that who changes one says what they read.
ALTER TABLE webhooks ADD COLUMN revision integer NOT NULL DEFAULT 1;
