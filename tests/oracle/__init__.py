"""What the judge is measured against: a simulated broker that knows the truth, and an oracle that reads histories slowly.

`simulator/` runs a scenario in virtual time against a small, honest model of RabbitMQ. It yields a history as the harness would have
recorded it, and the truth of every copy. `reading`, `settings`, `lives`, `fates` and their neighbours decide from a history alone; they
share nothing with the checks but the record format and the events. `draw` draws topologies and faults, `lies` tampers with honest runs.
"""
