"""Runs on the machines of a Dask engine: many runs farmed out, or the publishers and workers of one run spread."""
