"""The metrics of this group: crash rate, restart count, error rate. ``cells`` lists their cells."""
