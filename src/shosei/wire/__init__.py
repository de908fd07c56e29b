"""What crosses a process border: the OpenAI request, response, chunk and error types, SSE, a measuring client, suites.

In: bytes. Out: types (and back). One copy for server, load, exam, gateway and chat. Imports no room and nothing heavy
but pydantic (requests) and httptools (client), so import the submodule that you need.
"""
