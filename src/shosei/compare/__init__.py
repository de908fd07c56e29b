"""Two runs, or two targets measured by turns: logs in, a verdict for every cell out, and its words.

In: attempts of two sides and, if asked, a profile. Out: a ``Decision`` with its exit code, and its views. Imports the
card for its numbers and words; nothing imports it but ``cli``.
"""
