"""When a target that fails is left alone, and how it is taken back."""
