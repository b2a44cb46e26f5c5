-- What the provider calls a person's stay at it (`sid`): by that it says later that the stay is over.

ALTER TABLE sessions ADD COLUMN provider_sid text;
CREATE INDEX sessions_of_provider ON sessions (provider, provider_sid) WHERE ended_at IS NULL AND provider IS NOT NULL;
