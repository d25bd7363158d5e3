"""Reports: functions that render a score; none of them changes it."""
