"""The tests of the harness."""
