-- When what is kept of a person was erased last. The name stays: the audit log refers to it.
ALTER TABLE users ADD COLUMN erased_at timestamptz;
GRANT DELETE ON sign_in_link TO headgate_gateway;
