"""The HTTP front: OpenAI-compatible chat and text completions, readiness, metrics for operators.

In: HTTP requests. Out: token requests to the engine process over its local socket, answers over HTTP, and one
``request`` event each. Text becomes ids here and ids become text here. Never imports torch or the measure wing; import
the submodule that you need.
"""
