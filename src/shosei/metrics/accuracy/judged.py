"""What judges said of the answers, beside what labels and graders say. It stands by itself, in no metric's value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from shosei.log import Exec, Log, Score
from shosei.metrics import stats
from shosei.metrics.accuracy.over_single import baseline_answers
from shosei.metrics.grading.grade import JUDGE, classes, mark, outcomes
from shosei.metrics.metric import Row, Table, Words, text
from shosei.metrics.observed.answers import by_task, cluster_of
from shosei.metrics.observed.judges import AnswerKey, Judge, judges, judges_itself, key_of, labels
from shosei.metrics.stats import Interval
from shosei.metrics.stats.agreement import Agreement
from shosei.wire.suite import GRADERS


class JudgedShare(msgspec.Struct, kw_only=True):
    """Of a suite's answers, the share that a judge lets pass: the mean over tasks, with its 95 % interval.

    ``n`` answers count, among them an agent system's ``failed`` tasks, which do not pass. Those ``without_verdict``,
    some of them by ``split`` votes, do not count, nor do those that were ``not_judged``. Lengths are in characters.
    """

    suite: str
    judge: str
    rubric: str
    identity: str  # shares of different ones mean different things
    judges_itself: bool  # a model of its name gave the answers
    share: float | None
    ci: Interval
    n: int
    failed: int
    without_verdict: int
    split: int
    not_judged: int
    median_length_passed: float | None
    median_length_failed: float | None


class JudgeAgreement(msgspec.Struct, kw_only=True):
    """How far a judge agrees with ``beside``, which is people or graders; None where ``n``, their answers, is 0."""

    judge: str
    rubric: str
    identity: str
    judges_itself: bool
    beside: str
    agreement: float | None = None
    agreement_ci: Interval = (None, None)
    kappa: float | None = None
    kappa_ci: Interval = (None, None)
    n: int = 0
    both_pass: int = 0
    only_judge_passes: int = 0
    only_judge_fails: int = 0
    both_fail: int = 0


def judged_shares(log: Log, scores: Sequence[Score]) -> list[JudgedShare]:
    """Of each judge and suite among ``scores``, which are those that accuracy is computed from."""
    suites: dict[str, list[Score]] = {}
    for score in scores:
        suites.setdefault(score.suite, []).append(score)
    return [
        _share(log, judge, suite, of_suite)
        for judge in judges(log, _answers(scores))
        for suite, of_suite in sorted(suites.items())
        if any(key_of(score) in judge.votes for score in of_suite)
    ]


def judge_agreements(log: Log, scores: Sequence[Score]) -> list[JudgeAgreement]:
    """Each judge beside people, labels or not; and beside the tasks' graders, where they have any."""
    answers = _answers(scores)
    by_graders = grades(log, answers)
    others = {"people": labels(log, answers)} | ({"graders": by_graders} if by_graders else {})
    return [
        _agreement(log, judge, answers, name, verdicts)
        for judge in judges(log, answers)
        for name, verdicts in others.items()
    ]


def judged_tables(log: Log, scores: Sequence[Score]) -> list[Table]:
    """The card's tables of both, and of what the judges say of a single agent beside; none where nobody judged."""
    shares = judged_shares(log, scores)
    if not shares:
        return []
    columns = ["accuracy.suite", "accuracy.judge", "accuracy.rubric", "accuracy.judged_share"]
    columns += ["term.low_95", "term.high_95", "accuracy.answers", "accuracy.failed_tasks"]
    columns += ["accuracy.no_verdict", "accuracy.split_votes", "accuracy.not_judged"]
    columns += ["accuracy.length_passed", "accuracy.length_failed"]
    beside = ["accuracy.judge", "accuracy.rubric", "accuracy.beside", "accuracy.agreement"]
    beside += ["term.low_95", "term.high_95", "accuracy.kappa", "term.low_95", "term.high_95", "accuracy.answers"]
    beside += ["accuracy.both_pass", "accuracy.only_judge_passes", "accuracy.only_judge_fails", "accuracy.both_fail"]
    single = judged_shares(log, baseline_answers(log))
    return [
        Table.of("accuracy.judged", columns, list(map(_share_row, shares))),
        *([Table.of("accuracy.judged_single", columns, list(map(_share_row, single)))] if single else []),
        Table.of("accuracy.judge_agreement", beside, [_agreement_row(each) for each in judge_agreements(log, scores)]),
    ]


def _share_row(share: JudgedShare) -> Row:
    counts: Row = [share.n, share.failed, share.without_verdict, share.split, share.not_judged]
    lengths: Row = [share.median_length_passed, share.median_length_failed]
    return [share.suite, _named(share), share.rubric, share.share, *share.ci, *counts, *lengths]


def _agreement_row(each: JudgeAgreement) -> Row:
    """It says in words that agreement is not known."""
    begin: Row = [_named(each), each.rubric, text(f"accuracy.{each.beside}")]
    if not each.n:
        return [*begin, text("accuracy.not_measured"), *[None] * 5, 0, *[None] * 4]
    begin += [each.agreement, *each.agreement_ci, each.kappa, *each.kappa_ci, each.n]
    return [*begin, each.both_pass, each.only_judge_passes, each.only_judge_fails, each.both_fail]


def _named(each: JudgedShare | JudgeAgreement) -> Words:
    return text("accuracy.judges_itself", judge=each.judge) if each.judges_itself else each.judge


def _answers(scores: Sequence[Score]) -> list[Score]:
    return [score for score in scores if not score.error]


def grades(log: Log, answers: Sequence[Score]) -> dict[AnswerKey, bool]:
    """What the tasks' own graders say of the answers, as far as they can tell."""
    executed, of_suite = outcomes(log.of(Exec)), classes(answers)
    graded = [score for score in answers if score.grader in GRADERS and score.grader != JUDGE]
    marks = {key_of(score): mark(score, executed, of_suite).right for score in graded}
    return {key: right for key, right in marks.items() if right is not None}


def _share(log: Log, judge: Judge, suite: str, scores: Sequence[Score]) -> JudgedShare:
    passes = {key_of(score): False if score.error else judge.passes(key_of(score)) for score in scores}
    counted = [score for score in scores if passes[key_of(score)] is not None]
    clusters: dict[str, list[float]] = {}
    for samples in by_task(counted):
        share = stats.mean([float(passes[key_of(score)] is True) for score in samples])
        clusters.setdefault(cluster_of(samples[0]), []).append(share)
    failed = sum(bool(score.error) for score in scores)
    judged = sum(key_of(score) in judge.votes for score in scores)
    return JudgedShare(
        suite=suite,
        judge=judge.verdict.judge,
        rubric=judge.rubric,
        identity=judge.verdict.identity,
        judges_itself=judges_itself(log, judge.verdict.judge),
        share=stats.mean([share for cluster in clusters.values() for share in cluster]) if clusters else None,
        ci=stats.wilson_clustered(list(clusters.values())),
        n=len(counted),
        failed=failed,
        without_verdict=judged + failed - len(counted),
        split=sum(judge.is_split(key_of(score)) for score in scores),
        not_judged=len(scores) - judged - failed,
        median_length_passed=judge.median_characters(scores, True),
        median_length_failed=judge.median_characters(scores, False),
    )


def _agreement(
    log: Log, judge: Judge, answers: Sequence[Score], name: str, others: Mapping[AnswerKey, bool]
) -> JudgeAgreement:
    both = [
        (cluster_of(score), passes, others[key_of(score)])
        for score in answers
        if key_of(score) in others and (passes := judge.passes(key_of(score))) is not None
    ]
    named = JudgeAgreement(
        judge=judge.verdict.judge,
        rubric=judge.rubric,
        identity=judge.verdict.identity,
        judges_itself=judges_itself(log, judge.verdict.judge),
        beside=name,
    )
    if not both:
        return named
    agreement = Agreement.of(both)
    return msgspec.structs.replace(
        named,
        agreement=agreement.share,
        agreement_ci=agreement.share_interval,
        kappa=agreement.kappa,
        kappa_ci=agreement.kappa_interval,
        n=len(both),
        both_pass=agreement.count(True, True),
        only_judge_passes=agreement.count(True, False),
        only_judge_fails=agreement.count(False, True),
        both_fail=agreement.count(False, False),
    )
