"""What a use requires of metrics and load: profiles as TOML, ours and a user's.

In: a name or a file. Out: ``Profile``. The card, comparisons and the measuring verbs read it.
"""
