"""What a user says of a file of a benchmark, where it does not speak for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shosei.errors import InputError, nearest

FORMATS = ("shosei", "humaneval", "table", "squad")
GRADERS = ("number", "choice", "label", "text", "exact")  # of a table
ANSWER_IS = ("index0", "index1", "letter", "text")


@dataclass(frozen=True)
class Schema:
    """What a user says of a file. ``form`` is its format; empty: the one that it looks like.

    ``columns`` gives our names of fields the file's own; ``labels`` gives its labels names. Empty ``lang``, ``grader``
    and ``answer_is`` (the form in which the right choice is given) follow from the tasks. Raises InputError for what is
    none of these.
    """

    form: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    lang: str = ""
    grader: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    answer_is: str = ""

    def __post_init__(self) -> None:
        if self.form and self.form not in FORMATS:
            options = ", ".join(FORMATS)
            raise InputError(f"unknown format '{self.form}'{nearest(self.form, FORMATS)}: choose one of {options}")
        if self.grader and self.grader not in GRADERS:
            raise InputError(f"a table's grader is one of {', '.join(GRADERS)}, not '{self.grader}'")
        if self.answer_is and self.answer_is not in ANSWER_IS:
            raise InputError(f"an answer is given as one of {', '.join(ANSWER_IS)}, not '{self.answer_is}'")
