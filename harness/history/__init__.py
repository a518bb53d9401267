"""The log format, and reading it. This package module imports nothing: the traffic processes come through it."""
