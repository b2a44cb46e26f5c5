-- Reviews of a month's deployments. `whole`: it was made when the month was over.
CREATE TABLE review (
    run_id           bigint      PRIMARY KEY,
    month            text        NOT NULL,
    trigger          text        NOT NULL,
    finished_at      timestamptz NOT NULL,
    deployment_count integer     NOT NULL,
    whole            boolean     NOT NULL,
    notes            text        NOT NULL
);
CREATE INDEX review_month ON review (month, finished_at);
CREATE INDEX review_newest ON review (finished_at, run_id);

-- What reviews have found, each once, whatever number of reviews has found it; and what a person said of it.
CREATE TABLE review_candidate (
    run_id            bigint      PRIMARY KEY REFERENCES deployment,
    month             text        NOT NULL,
    kind              text        NOT NULL,
    problem_check_ids text[]      NOT NULL,
    decision          text,
    decided_by        text,
    decided_at        timestamptz,
    reason            text
);
CREATE INDEX review_candidate_month ON review_candidate (month, run_id);
CREATE INDEX review_candidate_undecided ON review_candidate (month) WHERE decision IS NULL;

GRANT SELECT, INSERT ON review TO headgate_operations;
GRANT SELECT, INSERT, UPDATE (decision, decided_by, decided_at, reason) ON review_candidate TO headgate_operations;
