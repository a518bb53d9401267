"""Where a broker runs: one small protocol, one file for each backend."""
