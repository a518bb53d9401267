"""What can be done to a run, one file for each family."""
