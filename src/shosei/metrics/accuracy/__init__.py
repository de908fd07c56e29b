"""The metrics of this group: precision, recall, F1 and pass@1, and their grading. ``cells`` lists their cells."""
