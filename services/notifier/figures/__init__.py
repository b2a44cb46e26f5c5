"""What is counted about deliveries: outages and their repair, quality of channels, noise, and what is kept how long."""
