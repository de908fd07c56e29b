"""A measuring proxy for OpenAI's API: who called, how long it took, how many tokens, what failed.

In: HTTP requests of any client. Out: the upstream's answers, and ``request`` events. Never imports the build wing.
"""
