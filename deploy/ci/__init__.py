"""Judging builds in pipelines: a script, and what GitHub and GitLab wrap around it. See docs/ci.md."""
