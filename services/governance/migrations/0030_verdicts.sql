-- All lines of a site in one order, and the last verdict of a line that was no GO: with `runs_line_go`, since when a
-- line is what it is, however many verdicts that is ago.
CREATE INDEX gate_lines_site ON gate_lines (site, gate, subject, line);
CREATE INDEX runs_line_no_go ON runs (gate, site, subject, line, run_number DESC) WHERE decision = 'no_go';
