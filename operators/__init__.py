"""What happens to the rows: pure functions of columns and a state."""
