"""Archives of the log by the month: cut, written, kept and verified."""
