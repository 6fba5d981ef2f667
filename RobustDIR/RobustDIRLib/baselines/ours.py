"""Our own registration as a method beside its rivals."""

from __future__ import annotations

from pathlib import Path

from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.model_file import LoadedModel
from RobustDIRLib.model_store import load_model
from RobustDIRLib.registration.register import register
from RobustDIRLib.registration.result import PairExtras, RegistrationOptions
from RobustDIRLib.run_files import MODEL


class OwnModel:
    """A model of ours, run as `robustdir register` runs it.

    Args:
        name: As asked for.
        path: Of the model's file.
        device: Where the network runs.
        quality: One of `refinement.settings.QUALITIES`; the default of `register` if None.
    """

    def __init__(self, name: str, path: Path, device: str = "auto", quality: str | None = None) -> None:
        self.name, self.path, self.device = name, path, device
        self.quality = quality or RegistrationOptions.quality
        self._model: LoadedModel | None = None

    @property
    def title(self) -> str:
        """What tables call it: a model's name, or that of its file; of a run's `weights.pt`, the run's."""
        name = Path(self.name).name
        return self.path.absolute().parent.name if name == MODEL else name

    def on(self, device: str) -> OwnModel:
        """The same on a device."""
        return OwnModel(self.name, self.path, device, self.quality)

    def prepare(self) -> None:
        """Load the weights.

        Raises:
            InputError: If they are damaged.
        """
        self._loaded()

    def register(self, pair: Pair, threads: int) -> Outcome:
        """Transform, inverse and warnings of `register` with its default alignment."""
        result = register(
            pair.fixed,
            pair.moving,
            self._loaded(),
            options=RegistrationOptions(
                preset=pair.preset,
                device=self.device,
                threads=threads,
                spacing=pair.spacing,
                quality=self.quality,
            ),
            extras=PairExtras(fixed_mask=pair.fixed_mask, moving_mask=pair.moving_mask),
        )
        return Outcome(result.transform, result.inverse, result.warnings)

    def _loaded(self) -> LoadedModel:
        if self._model is None:
            self._model = load_model(self.path)
        return self._model

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_model": None}
