"""`python -m pipelines.cli`, the same as `gleaner`."""

from pipelines.cli import main

main()
