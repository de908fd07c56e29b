"""What an answer says and whether it is right: extraction, grading, free text, and the naive Bayes floor.

In: answers and truths. Out: what was extracted, right or wrong. The exam, systems and training use it too.
"""
