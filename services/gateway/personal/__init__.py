"""What is personal: from where people come, who may read that, and how it is forgotten."""
