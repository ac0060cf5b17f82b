"""What travels: wire format, topics, tables, bundles and the error tree."""
