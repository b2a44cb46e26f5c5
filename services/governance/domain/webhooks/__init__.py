"""What other systems tell by themselves, turned into signals: one module for each system."""
