"""`make chart`: the Helm chart rendered by Helm's own engine, and judged by tools that aren't ours."""
