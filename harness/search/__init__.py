"""Looking for a timeline that breaks a guarantee: drawing them by chance, telling what a run of one proved, and shrinking one that did."""
