"""The checks: functions that verify a step on a machine; ``claims`` has those without Python."""
