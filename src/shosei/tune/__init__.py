"""The search for better settings, and the proof that its gain is real.

In: a target: what is to become better, which settings may change. Out: an ordinary run folder with the search's log, a
folder a trial, and the verdict. Part of the roof: it runs public verbs and reads what they measured.
"""
