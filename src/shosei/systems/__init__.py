"""Runs any agent system on tasks, with the gateway between it and the model, and writes down what became of each.

In: a system (a function's place or a command), tasks, an endpoint. Out: ``workflow`` and ``score`` events. The system
runs in processes of its own, each of which carries what this file imports: nothing. Never imports the build wing, nor
``agents``.
"""
