"""Pure functions: history and scenario in, verdict out. No clock, no I/O, no randomness."""
