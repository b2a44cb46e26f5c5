"""Second factors: what an app shows, and codes on paper for when it is lost."""
