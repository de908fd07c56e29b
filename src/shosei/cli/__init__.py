"""The roof: one thin file a verb family, and the only place that composes rooms and starts processes.

In: argv. Out: calls and exit codes. Heavy imports stand inside functions, so that ``--help`` stays fast.
"""
