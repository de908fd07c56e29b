"""The metrics of this group: response time and satisfaction. ``metrics.cells`` is the table of cells."""
