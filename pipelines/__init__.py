"""Where rows come from and go: ingest, log, dataflow, lake and the commands."""
