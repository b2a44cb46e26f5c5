"""Share links: one thing is shown to whoever has the link."""
