"""Which candidate to measure next: an even spread over all settings, then what Optuna's TPE proposes."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shosei.errors import InputError
from shosei.tune.setting import Candidate, Setting, Space, Value
from shosei.tune.surface import levels

if TYPE_CHECKING:
    import optuna

_TRIES, _WAIT_S = 5, 0.4  # to reach a storage, and at most between them


def connected(url: str) -> optuna.storages.BaseStorage:
    """Optuna's storage at ``url``, with its tables. Raises InputError where it cannot be used.

    Of two machines that make the tables of a new one at the same time, one fails, and finds them made the next time.
    """
    import optuna

    for left in reversed(range(_TRIES)):
        try:
            return optuna.storages.RDBStorage(url)
        except Exception as error:  # whatever the driver of a database raises
            reason = _reason(error)
            if not left:
                break
            time.sleep(random.uniform(0, _WAIT_S))
    raise InputError(f"--storage: Optuna cannot use it: {reason}")


@contextlib.contextmanager
def _reaching(storage: str) -> Iterator[None]:
    """Raise InputError where a storage that was reached cannot be reached any more."""
    try:
        yield
    except Exception as error:  # likewise
        if not storage:
            raise
        raise InputError(f"--storage: {_reason(error)}: once it is back, the same command goes on") from None


def _reason(error: BaseException) -> str:
    """As the driver said it; without the URL, which may hold a password."""
    return str(error.__cause__ or error).partition("\n")[0]


class Proposer:
    """Optuna's ask and tell. With a ``storage`` URL, machines that search under the same ``name`` share what they know.

    Raises InputError for a storage that cannot be used.
    """

    def __init__(self, space: Space, seed: int, storage: str = "", name: str = "") -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._distributions = {key: _distribution(setting) for key, setting in space.items()}
        self._space, self._seed, self._storage = space, seed, storage
        self._design: list[Candidate] = []
        self._asked: dict[str, optuna.Trial] = {}
        self._study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True),
            direction="maximize",
            storage=connected(storage) if storage else None,
            study_name=name or None,
            load_if_exists=bool(storage),
        )
        # What a machine that goes on from its log has told of before.
        self._told = [(trial.params, trial.value) for trial in self._study.get_trials(deepcopy=False) if trial.values]

    def spread(self, count: int) -> None:
        """Spread the next ``count`` candidates evenly, before TPE has its say."""
        self._design = spread(self._space, count, self._seed)
        self._seed += 1  # the next ones are others

    def propose(self, logged: Candidate | None = None) -> Candidate:
        """The next candidate: as the log has it, else the design's, else what TPE makes of all that it was told."""
        designed = self._design.pop(0) if self._design else None
        if given := logged or designed:
            return given
        with _reaching(self._storage):
            trial = self._study.ask(self._distributions)
        self._asked[str(trial.params)] = trial
        return dict(trial.params)

    def tell(self, candidate: Candidate, gain: float, limits: Mapping[str, str]) -> None:
        """What came of a candidate: its gain over the default, and which limits it missed."""
        with _reaching(self._storage):
            self._tell(candidate, gain, {key: 1.0 if said == "missed" else -1.0 for key, said in limits.items()})

    def _tell(self, candidate: Candidate, gain: float, constraints: dict[str, float]) -> None:
        import optuna

        if (trial := self._asked.pop(str(candidate), None)) is None:  # it was not Optuna's, or is measured again
            if (candidate, gain) in self._told:
                return
            self._study.add_trial(
                optuna.trial.create_trial(
                    params=candidate, distributions=self._distributions, value=gain, constraints=constraints
                )
            )
            return
        for key, amount in constraints.items():
            trial.set_constraint(key, amount)
        self._study.tell(trial, gain)


def spread(space: Space, count: int, seed: int) -> list[Candidate]:
    """``count`` candidates in which every setting has each of its levels about as often (a Latin hypercube)."""
    order = random.Random(seed)
    columns: dict[str, list[Value]] = {}
    for name, setting in space.items():
        values = levels(setting)
        dealt: list[Value] = []
        while len(dealt) < count:
            dealt += order.sample(values, len(values))
        columns[name] = order.sample(dealt[:count], count)
    return [{name: column[row] for name, column in columns.items()} for row in range(count)]


def _distribution(setting: Setting) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if setting.type == "int":
        return IntDistribution(round(setting.low), round(setting.high), setting.log, round(setting.step or 1))
    if setting.type == "float":
        return FloatDistribution(setting.low, setting.high, setting.log, setting.step)
    return CategoricalDistribution(setting.choices)
