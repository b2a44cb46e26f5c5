-- What a person's role holds, where it is one of the installation's own; null: what the table of roles says.
ALTER TABLE person ADD COLUMN own_permissions text[];
