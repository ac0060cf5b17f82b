"""How the drift detector fares on seeded streams, alone and beside other libraries: `make bench-drift`."""
