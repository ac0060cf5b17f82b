"""What people see of drift: how cohorts stand, what an alarm is about, and references blessed from production."""
