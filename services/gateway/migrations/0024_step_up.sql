-- When a second factor was shown last in a session: before what the policy names it is asked for anew.

ALTER TABLE sessions ADD COLUMN factor_at timestamptz;
