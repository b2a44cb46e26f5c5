"""Verifications of the whole log as a job: asked for, made piece by piece, resumed where they stood."""
