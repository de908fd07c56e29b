"""The metrics of this group: training and inference speed, GPU utilisation. ``metrics.cells`` is the table of cells."""
