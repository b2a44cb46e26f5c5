-- Artifacts by digest. A version is a name that may be given to another build; `versions_seen` says which it is now: the
-- digest that the newest signal (by effective time) names which names one.
ALTER TABLE signals ADD COLUMN artifact_digest text NOT NULL DEFAULT '';
ALTER TABLE versions_seen
    ADD COLUMN artifact_digest text NOT NULL DEFAULT '',
    ADD COLUMN digest_at timestamptz,
    ADD COLUMN digest_signal_id bigint,
    ADD CHECK ((artifact_digest = '') = (digest_at IS NULL) AND (digest_at IS NULL) = (digest_signal_id IS NULL));
-- What a run judged, and which signal named it (NULL: whoever asked did, or nobody).
ALTER TABLE runs ADD COLUMN artifact_digest text NOT NULL DEFAULT '', ADD COLUMN artifact_signal_id bigint;
ALTER TABLE valid_gos ADD COLUMN artifact_digest text NOT NULL DEFAULT '';
