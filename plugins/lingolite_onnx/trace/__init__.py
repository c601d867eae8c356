"""Values of named operations in exported graphs, read from copies of the graphs in memory."""
