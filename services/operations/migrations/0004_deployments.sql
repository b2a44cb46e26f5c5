-- Files in the bucket `checks` are of several kinds, each kept for its own time.
ALTER TABLE archive ADD COLUMN kind text NOT NULL DEFAULT 'check';

-- Recorded smoke tests, one a deployment (or several, if it was tested again). Kept for good: reports count them.
CREATE TABLE deployment (
    run_id              bigint      PRIMARY KEY,
    deploy_id           text        NOT NULL,
    environment         text        NOT NULL,
    version             text        NOT NULL,
    commit              text        NOT NULL,
    committed_at        timestamptz,
    rollback            boolean     NOT NULL,
    status              text        NOT NULL,
    started_at          timestamptz NOT NULL,
    finished_at         timestamptz NOT NULL,
    recorded_at         timestamptz NOT NULL,
    recorded_by         text        NOT NULL,
    checklist_version   text        NOT NULL,
    checklist_signature text        NOT NULL,
    detail              jsonb       NOT NULL
);
CREATE INDEX deployment_environment ON deployment (environment, run_id);
CREATE INDEX deployment_deploy_id ON deployment (deploy_id, run_id);
CREATE INDEX deployment_newest ON deployment (environment, finished_at, run_id);
CREATE INDEX deployment_finished ON deployment (finished_at);
-- By character codes, so that a month's versions are found by how they begin.
CREATE INDEX deployment_checklist ON deployment (checklist_version text_pattern_ops, checklist_signature);

-- Rollback guides. A row is a version, which nobody changes or removes.
CREATE TABLE rollback_guide (
    path        text        NOT NULL,
    version     integer     NOT NULL,
    sha256      text        NOT NULL,
    content     bytea       NOT NULL,
    reason      text        NOT NULL,
    uploaded_at timestamptz NOT NULL,
    uploaded_by text        NOT NULL,
    PRIMARY KEY (path, version)
);

GRANT SELECT, INSERT ON deployment, rollback_guide TO headgate_operations;
