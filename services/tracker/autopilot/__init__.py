"""The autopilot: policy and switch, evaluation, plans, runs, undo, reports."""
