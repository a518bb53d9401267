"""Listeners and renderers. They never compute a verdict."""
