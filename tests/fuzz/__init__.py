"""Malformed input, damaged files, hostile brokers and signals, thrown at `chaos` by seed: a short form in CI, a long one by `make fuzz`.

What is wrong with an answer is decided in one place (`attempt`); a fuzzer (one module in `fuzzers/`) only makes attempts.
"""
