"""From the logs of a history to arrays by message: what was sent, received and settled, by which connection, between which faults."""
