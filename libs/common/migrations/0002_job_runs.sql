-- It held which ticks had been served, and nobody could read it: runs begin anew, with more to say.
DROP TABLE job_runs;

-- A run's number is unique over all services without asking any: each counts by sixteens in a class of its own.
CREATE SEQUENCE job_run_id AS bigint INCREMENT BY 16 MINVALUE 1 START WITH {first_run_id};

CREATE TABLE job_run (
    run_id bigint PRIMARY KEY DEFAULT nextval('job_run_id'),
    job_name text NOT NULL,
    site text NOT NULL,
    trigger text NOT NULL CHECK (trigger IN ('api', 'schedule', 'autopilot', 'event')),
    actor text NOT NULL,
    status text NOT NULL CHECK (status IN ('success', 'warning', 'critical', 'failed')),
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    parent_run bigint,
    policy_version text,
    detail jsonb NOT NULL
);
CREATE INDEX job_run_latest ON job_run (job_name, site, finished_at DESC, run_id DESC);
CREATE INDEX job_run_newest ON job_run (job_name, finished_at DESC, run_id DESC);
CREATE INDEX job_run_age ON job_run (finished_at);

-- Which instants of a schedule have been served, in which sites. Whoever inserts the row runs the job.
CREATE TABLE job_tick (
    job_name text NOT NULL,
    site text NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (job_name, site, due_at)
);
CREATE INDEX job_tick_age ON job_tick (due_at);

-- Since when a job has had its schedule: instants before are nothing that was missed.
CREATE TABLE job_schedule (
    job_name text PRIMARY KEY,
    cron text NOT NULL,
    zone text NOT NULL,
    since timestamptz NOT NULL
);

GRANT SELECT, INSERT, DELETE ON job_run, job_tick TO {login};
GRANT SELECT, INSERT, UPDATE ON job_schedule TO {login};
GRANT USAGE ON SEQUENCE job_run_id TO {login};
