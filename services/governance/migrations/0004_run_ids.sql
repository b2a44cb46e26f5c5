-- A run's id is taken before the run is stored, since what is told of the run names it and is stored with it.
GRANT USAGE ON SEQUENCE runs_run_id_seq TO headgate_governance;
