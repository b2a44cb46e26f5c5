-- Who reports backups and rehearsals: a process of the administrator.
ALTER TABLE users DROP CONSTRAINT users_role_check;
ALTER TABLE users ADD CONSTRAINT users_role_check
    CHECK (role IN ('owner', 'manager', 'commander', 'operator', 'auditor', 'viewer', 'keeper'));
