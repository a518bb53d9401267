"""Figures of many runs: kept in small files, and looked through for changes."""
