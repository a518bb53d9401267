"""The rules: each takes the message table and returns its part of the verdict."""
