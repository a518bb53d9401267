"""Phases, the timeline, supervision of processes, clean-up."""
