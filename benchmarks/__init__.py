"""How fast publishers and workers are, side by side with other clients on the same machine and broker: `make bench`."""
