"""Transparency logs in the public formats: RFC 6962 trees, C2SP tlog-tiles, signed notes and checkpoints. Pure."""
