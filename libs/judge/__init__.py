"""The judge: policy, facts and time in, a verdict out. Pure, so that an outsider can run the very same code."""
