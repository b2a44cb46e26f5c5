-- Runs of the jobs of all services, as they told them; each service keeps its own record besides.
CREATE TABLE told_run (
    id bigint PRIMARY KEY,
    service text NOT NULL,
    site text NOT NULL,
    job_name text NOT NULL,
    trigger text NOT NULL,
    actor text NOT NULL,
    status text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    parent_run bigint,
    policy_version text,
    detail jsonb NOT NULL
);
CREATE INDEX told_run_newest ON told_run (site, finished_at DESC, id DESC);
CREATE INDEX told_run_of_job ON told_run (site, job_name, finished_at DESC, id DESC);
CREATE INDEX told_run_age ON told_run (finished_at);

GRANT SELECT, INSERT, DELETE ON told_run TO headgate_metrics;
