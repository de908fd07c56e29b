"""``shosei judge``: have a model judge a run's answers by a rubric, and say how far it agrees with people."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shosei.cli.common import JsonOption, result, run_async, say
from shosei.errors import EXIT_INVALID, EXIT_OK, InputError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from shosei.exam.judging.config import JudgeConfig
    from shosei.exam.judging.rubric import Rubric
    from shosei.log import Log, Run, Score, VerbRecord, Verdict, Writer
    from shosei.metrics.accuracy.judged import JudgeAgreement, JudgedShare


def judge(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder of an exam or of an agent system.")],
    judge_url: Annotated[
        str, typer.Option(metavar="URL", help="The OpenAI-compatible server of the judge.", show_default=False)
    ] = "",
    rubric: Annotated[
        str, typer.Option(help="correct (given the reference), helpful, or a file of yours: *.toml or *.md.")
    ] = "correct",
    labels: Annotated[
        Path | None,
        typer.Option(
            help="What people say of answers, *.jsonl or *.csv: item, label (pass or fail), perhaps suite and sample.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Have a model judge the answers of a finished run; its verdicts stand apart from grades, on the card too.

    Called again with the same judge and rubric it goes on; with another it adds a judge. Labels alone need no server.
    Exit code 5 if not one answer was judged.
    """
    from shosei.exam.judging.config import JudgeConfig
    from shosei.exam.judging.labels import read_labels
    from shosei.exam.judging.rubric import read_rubric
    from shosei.log import open_run, read_log

    settings: JudgeConfig = context.obj.load(JudgeConfig)
    if not (judge_url or labels):
        raise InputError("name the judge's server with --judge-url URL, or people's verdicts with --labels FILE")
    folder = open_run(run)
    log = read_log(folder.log)
    answers = _answers(log)
    given = read_labels(labels, answers) if labels else []
    work = _Work(folder, settings, answers, _others_of_baseline(log, answers), given, labels)
    with folder.alone("judge"):
        code = work.judge(judge_url, read_rubric(rubric)) if judge_url else work.label()
    _say_results(folder, len(given), as_json)
    return code


def _answers(log: Log) -> list[Score]:
    """What there is to judge. Raises InputError: nothing."""
    from shosei.log import Score
    from shosei.metrics.observed.answers import answered
    from shosei.metrics.observed.judges import judged_part
    from shosei.metrics.value import Unmeasurable

    part = judged_part(log)
    try:
        scores = answered(part)[0] if part.part(Score) else []
    except Unmeasurable:
        scores = []
    answers = [score for score in scores if not score.error]
    if not answers:
        raise InputError("the run has no answers to judge: 'shosei exam' and 'shosei agents run' write them")
    return answers


def _others_of_baseline(log: Log, answers: list[Score]) -> list[Score]:
    """What a baseline answered beside an agent system, where the system did not answer the same."""
    from shosei.metrics.accuracy.over_single import baseline_answers
    from shosei.metrics.grading.verdict import digest_of
    from shosei.metrics.observed.judges import judged_part, key_of

    judged = {(key_of(score), digest_of(score)) for score in answers}
    beside = [score for score in baseline_answers(judged_part(log)) if not score.error]
    return [score for score in beside if (key_of(score), digest_of(score)) not in judged]


@dataclass(frozen=True, slots=True)
class _Work:
    """The answers of a run, those of a baseline that differ, and what people said of the run's."""

    run: Run
    settings: JudgeConfig
    answers: list[Score]
    of_baseline: list[Score]
    labels: list[Verdict]
    labels_file: Path | None

    def judge(self, url: str, rubric: Rubric) -> int:
        """Have the model at ``url`` judge them."""
        from shosei.config import save
        from shosei.exam.judging.judging import Judging, check
        from shosei.log import read_log
        from shosei.log.secret import RunSecret

        settings = run_async(check(self.settings, url))
        judging = Judging(settings, rubric, RunSecret.of(self.run.folder))
        config = {"judge": settings.recordable().model_dump(), "judge_url": url, "rubric": rubric.model_dump()}
        with self._recording(config, {f"rubric/{rubric.name}": rubric.hash}) as record:
            save(self.run.toml, "judge", settings.recordable())
            self._write_labels(record.writer)
            log = read_log(self.run.log, record.writer.attempt)
            cast = judging.cast(log)
            _warn_of_itself(log, settings.model, record.writer)
            work = judging.judge(url, [*self.answers, *self.of_baseline], record.writer, cast)
            counts = run_async(work)
            code = EXIT_OK if any(count.answered for count in counts.values()) else EXIT_INVALID
            record.exit_code = code
            for count in counts.values():
                if count.failed:
                    say(f"judge: {count.failed} of {count.total} requests failed; the first: {count.first_error}")
        return code

    def label(self) -> int:
        """Only write down what people say."""
        with self._recording({}, {}) as record:
            self._write_labels(record.writer)
        return EXIT_OK

    def _recording(self, config: dict[str, Any], hashes: dict[str, str]) -> AbstractContextManager[VerbRecord]:
        from shosei.files import sha256

        if self.labels_file:
            hashes = hashes | {f"labels/{self.labels_file.name}": sha256(self.labels_file)}
        words = self.settings.recordable_words(sys.argv)
        # An attempt of its own would hide the one that it judges.
        phase = self.answers[0].phase
        return self.run.recording("judge", phase, new_attempt=False, argv=words, config=config, hashes=hashes)

    def _write_labels(self, writer: Writer) -> None:
        for verdict in self.labels:
            writer.emit(verdict)
        writer.flush()


def _warn_of_itself(log: Log, model: str, writer: Writer) -> None:
    from shosei.log import Note
    from shosei.metrics.observed.judges import judges_itself

    if not judges_itself(log, model):
        return
    warning = f"the judge has the name of the model that gave the answers, {model}: models prefer their own answers"
    say(f"judge: {warning}")
    if warning not in {note.text for note in log.of(Note)}:
        writer.emit(Note(level="warning", text=warning))


def _say_results(folder: Run, labelled: int, as_json: bool) -> None:
    """What all judges of the run say, and how far they can be believed."""
    import msgspec

    from shosei.log import read_log
    from shosei.metrics.accuracy.judged import judge_agreements, judged_shares
    from shosei.metrics.accuracy.judged_list import judged_list
    from shosei.metrics.accuracy.over_single import baseline_answers
    from shosei.metrics.observed.answers import answered
    from shosei.metrics.observed.judges import judged_part

    log = read_log(folder.log)
    part = judged_part(log)
    scores = answered(part)[0]
    shares, agreements = judged_shares(part, scores), judge_agreements(part, scores)
    written = folder.write("verdicts.jsonl", judged_list(part, scores))
    values = {"run": str(folder.folder), "attempt": log.attempt, "verdicts": str(written), "labels": labelled}
    single = judged_shares(part, baseline_answers(part))
    values |= {"judged": msgspec.to_builtins(shares), "agreement": msgspec.to_builtins(agreements)}
    values |= {"judged_baseline": msgspec.to_builtins(single)}
    lines = [f"{labelled} labels are kept"] if labelled else []
    lines += [*map(_share_line, shares), *(f"the baseline: {_share_line(share)}" for share in single)]
    lines += map(_agreement_line, agreements)
    lines += [f"each verdict with its reason, and a place for your label: {written}"]
    result(values, [*lines, f"on the card: shosei card {folder.folder}"], as_json=as_json)


def _share_line(share: JudgedShare) -> str:
    value = "-" if share.share is None else f"{share.share:.3f} ({_interval(share.ci)})"
    said = f"{share.suite}: judged to pass by {share.judge} ({share.rubric}): {value} of {share.n} answers"
    return f"{said}; {share.without_verdict} without a verdict, {share.not_judged} not judged"


def _agreement_line(each: JudgeAgreement) -> str:
    beside = {"people": "people's labels", "graders": "the tasks' graders"}[each.beside]
    if not each.n:
        return f"{each.judge} ({each.rubric}): agreement with {beside} is not measured: --labels FILE gives some"
    kappa = "not defined: one verdict only" if each.kappa is None else f"{each.kappa:.2f} ({_interval(each.kappa_ci)})"
    agreement = f"{each.agreement:.3f} ({_interval(each.agreement_ci)})"
    return f"{each.judge} ({each.rubric}) beside {beside}: agreement {agreement}, Cohen's kappa {kappa}, n = {each.n}"


def _interval(ends: tuple[float | None, float | None]) -> str:
    return " to ".join("?" if end is None else f"{end:.2f}" for end in ends)
