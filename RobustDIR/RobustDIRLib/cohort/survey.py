"""What a folder holds already of an evaluation that is asked for, and what is left to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from RobustDIRLib.baselines.method import Method
from RobustDIRLib.baselines.settings import settings_of
from RobustDIRLib.cohort import measuring
from RobustDIRLib.cohort.plan import checksums, made_with
from RobustDIRLib.cohort.results import Condition, Found, Key, State, differences, look
from RobustDIRLib.cohort.task import Task
from RobustDIRLib.cohort.terms import Perturbations, Terms
from RobustDIRLib.datasets.cases import Case
from RobustDIRLib.errors import InputError


class Survey:
    """What a folder holds of what is asked for.

    Args:
        folder: Of the evaluation.
        methods: All of them.
        conditions: All of them.
        perturbations: How images are perturbed now.
        terms: What every method is given now.

    Attributes:
        wanted: What is asked for of each case.
        kept: Results that are done, once `tasks` has looked.
    """

    def __init__(
        self,
        folder: Path,
        methods: Sequence[Method],
        conditions: Sequence[Condition],
        perturbations: Perturbations,
        terms: Terms,
    ) -> None:
        self.folder, self.perturbations, self.terms = folder, perturbations, terms
        self.wanted = [(method, condition) for condition in conditions for method in methods]
        self.settings = {method.name: settings_of(method) for method in methods}
        self.kept: list[Key] = []
        self.other: list[Found] = []

    def tasks(self, cases: Sequence[Case], redo: bool, say: Callable[[str], None]) -> list[Task]:
        """What is left to do.

        Args:
            cases: Of the data set.
            redo: Make results anew that were made with other settings.
            say: Told what is made anew.
        Raises:
            InputError: If results were made with other settings and are not to be made anew.
        """
        tasks = [task for case in cases if (task := self._task(case, say)).wanted]
        if self.other and not redo:
            found = self.other[0]
            raise InputError(
                f"{self.folder} holds {len(self.other)} results made with other settings ({found.problem}); give "
                f"another folder, or `redo` to make them anew."
            )
        if self.other:
            say(f"{len(self.other)} results were made with other settings and are made anew")
        return tasks

    def _task(self, case: Case, say: Callable[[str], None]) -> Task:
        left = []
        for method, condition in self.wanted:
            found = self._look(case, method, condition)
            if found.state is State.DONE and found.result:
                self.kept.append(found.result.key)
                continue
            left.append((method, condition))
            if found.state is State.OTHER:
                self.other.append(found)
            elif found.state is State.DAMAGED:
                say(f"{found.problem}; it is made anew")
        return Task(case, tuple(left))

    def _look(self, case: Case, method: Method, condition: Condition) -> Found:
        """The state of one result, against what it would be made with now."""
        key = Key(case.name, method.name, condition)
        found = look(self.folder, key)
        if found.state is not State.DONE or found.result is None:
            return found
        try:
            sums, _ = checksums(case, found.result)
        except InputError:  # its files are away: what was made of them stays
            return found
        setting = self.perturbations.settings(condition)
        measures = measuring.settings(case.preset)
        now = made_with(case, self.settings[method.name], setting, measures, sums, self.terms)
        changes = differences(found.result.made_with, now)
        return Found(State.OTHER, found.result, "; ".join(changes)) if changes else found
