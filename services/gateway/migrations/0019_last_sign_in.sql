-- When a person was last vouched for by the provider, so that tokens don't outlive that for long; for those who are there
-- already, from now on. `told_at`: that this gets too long ago was told.
ALTER TABLE sign_in_link
    ADD COLUMN seen_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN told_at timestamptz;
GRANT UPDATE ON sign_in_link TO headgate_gateway;
