"""Benchmarks: what the claims in the README and the docs rest on."""
