"""The metrics of this group: response time, satisfaction. ``cells`` lists their cells."""
