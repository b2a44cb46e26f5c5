-- A gate run is a job run: it takes its number from the sequence of those, which goes on above the runs there are.
SELECT setval('job_run_id', (SELECT (coalesce(max(run_id), 0) / 16 + 1) * 16 + 2 FROM runs), false)
WHERE EXISTS (SELECT FROM runs);
REVOKE USAGE ON SEQUENCE runs_run_id_seq FROM headgate_governance;
