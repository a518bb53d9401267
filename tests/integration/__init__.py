"""Tests against real brokers."""
