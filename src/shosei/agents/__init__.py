"""Reference agent systems; ``wire.system`` has the contract that any other system meets.

In: a task and a base URL. Out: an answer. Systems are subjects, in neither wing: they see only HTTP, and this package
imports no room but the floor.
"""
