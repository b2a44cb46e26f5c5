-- Who may make a NO-GO a GO in an emergency, beside owners.
ALTER TABLE users DROP CONSTRAINT users_role_check;
ALTER TABLE users ADD CONSTRAINT users_role_check
    CHECK (role IN ('owner', 'manager', 'commander', 'operator', 'auditor', 'viewer'));
