"""A witness of audit logs, run by another party: it cosigns what only grew (C2SP tlog-witness)."""
