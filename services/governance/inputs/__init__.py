"""What comes in: signals, reports, webhooks, probes, and which of it counts as a fact."""
