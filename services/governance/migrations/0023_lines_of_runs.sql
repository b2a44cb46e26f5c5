-- What a verdict is compared with: the runs of its line, and the GO before it, however many NO_GOs lie between.
CREATE INDEX runs_line ON runs (gate, site, subject, line, run_number DESC);
CREATE INDEX runs_line_go ON runs (gate, site, subject, line, run_number DESC) WHERE decision = 'go';
