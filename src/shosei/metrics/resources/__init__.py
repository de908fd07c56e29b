"""The metrics of this group: memory, disk I/O and network. ``metrics.cells`` is the table of cells."""
