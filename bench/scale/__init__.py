"""What one machine carries, and what more processes of each service add: measured here, and predicted by `simulate`."""
