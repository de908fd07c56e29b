"""The metrics of this group: training speed, inference speed and GPU utilisation. ``metrics.cells`` is the table of all cells."""
