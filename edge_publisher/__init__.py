"""On the device: runs a model, keeps what it said until it is durable elsewhere, answers requests for raw samples."""
