-- Files of each kind are looked at by samples that begin anywhere in the order of their sums.
CREATE INDEX archive_kind_sum ON archive (kind, sha256);
CREATE INDEX archive_kind_newest ON archive (kind, stored_at, run_id);
