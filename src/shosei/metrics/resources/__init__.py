"""The metrics of this group: memory, disk I/O, network. ``cells`` lists their cells."""
