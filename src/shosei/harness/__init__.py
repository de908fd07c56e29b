"""Gives an agent system its tasks, with the gateway between it and the model, and writes down what became of each.

In: a system (a name, ``module:function`` or a command), tasks, an endpoint. Out: ``workflow`` and ``score`` events.
The system runs in processes of its own. Never imports the build wing, nor ``agents``.
"""
