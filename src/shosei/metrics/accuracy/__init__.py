"""The metrics of this group: precision, recall, F1 and pass@1. ``metrics.cells`` is the table of cells."""
