"""Judging: a model says by a rubric whether a run's answers pass, and people's labels say how far to believe it.

In: a run's log, a rubric, a URL, perhaps labels. Out: raw ``verdict`` events, and none of any other kind. What a judge
says is never a grade: ``metrics.accuracy.judged`` keeps it apart.
"""
