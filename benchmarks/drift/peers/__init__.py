"""The other libraries: each in an environment of its own, asked over files."""
