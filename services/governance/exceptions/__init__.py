"""What people decide beside the facts: waivers, halts, freezes, approvals, and what they cost."""
