"""The metrics of this group: crash rate, restart count and error rate. ``metrics.cells`` is the table of cells."""
