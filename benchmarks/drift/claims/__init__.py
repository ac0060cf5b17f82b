"""One claim a file: what is claimed, how it is measured, when it fails."""
