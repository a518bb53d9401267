"""The checks tested on the user's own machine: faults planted in a recorded history."""
