"""The metrics of this group: training speed, inference speed, GPU utilisation. ``cells`` lists their cells."""
