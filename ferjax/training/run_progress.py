"""The state of a run apart from its arrays; stored in the `last` checkpoint."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypedDict

from ml_collections import ConfigDict, FrozenConfigDict

from ferjax import stored_json
from ferjax.metrics import Metrics
from ferjax.stored_json import Count, Object, Share, between
from ferjax.training import collapse
from ferjax.training.best_epoch import Selection
from ferjax.training.plateau import Plateau
from ferjax.workdir.schemas import Origin


class StoredSelection(TypedDict):
    """A `Selection` as JSON."""

    accuracy: Annotated[float, between(-1, 1)]
    epoch: Count
    step: Count
    waited: Count


class StoredPlateau(TypedDict):
    """A `Plateau` as JSON."""

    scale: Share
    best: float | None
    waited: Count
    cooling: Count


class Stored(TypedDict):
    """A `RunProgress` as JSON, with the position of the input beside it."""

    selection: StoredSelection
    plateau: StoredPlateau
    started_from: list[Origin]
    collapsed_epochs: NotRequired[list[Count]]
    collapse: NotRequired[str]
    train_seconds: Annotated[float, between(0, 1e12)]
    input_position: Object


@dataclasses.dataclass
class RunProgress:
    """What changes from epoch to epoch, apart from the arrays.

    Attributes:
      selection: the best epoch so far.
      plateau: the factor on the learning rate.
      started_from: the sources of the first weights (see `warm_start.initial_state`).
      collapsed_epochs: epochs after which the model did no better than class frequencies.
      collapse: the message about the last of these epochs.
      train_seconds: seconds so far, with validation and saving.
    """

    selection: Selection = dataclasses.field(default_factory=Selection)
    plateau: Plateau = dataclasses.field(default_factory=Plateau)
    started_from: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    collapsed_epochs: list[int] = dataclasses.field(default_factory=list)
    collapse: str = ""
    train_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        made = {
            **fields,
            "selection": self.selection.to_dict(),
            "plateau": self.plateau.to_dict(),
        }
        return json.loads(json.dumps(made))  # a copy: it is written while the run goes on

    @staticmethod
    def check(fields: Mapping[str, Any]) -> None:
        """Checks what stands in a checkpoint.

        Raises:
          stored_json.Unfit: it is not what `to_json` wrote.
        """
        stored_json.check(fields, Stored)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> RunProgress:
        """Reads what `check` accepts, also of a checkpoint of an earlier version."""
        selection, plateau = (
            {name: fields[group][name] for name in kind.__annotations__}
            for group, kind in (("selection", StoredSelection), ("plateau", StoredPlateau))
        )
        return cls(
            selection=Selection(**selection),
            plateau=Plateau(**plateau),
            started_from=fields["started_from"],
            collapsed_epochs=fields.get("collapsed_epochs", []),
            collapse=fields.get("collapse", ""),
            train_seconds=fields["train_seconds"],
        )

    def add_collapse(
        self, epoch: int, scores: Metrics, config: ConfigDict | FrozenConfigDict
    ) -> bool:
        """Records an epoch that ended no better than class frequencies; true if so."""
        counts = [sum(row) for row in scores["confusion"]]
        if not collapse.collapsed(epoch, scores["loss"], counts):
            return False
        self.collapse = collapse.explain(scores["loss"], counts, config)
        self.collapsed_epochs.append(epoch)
        return True

    @property
    def warnings(self) -> list[dict[str, Any]]:
        """The warnings of result.json."""
        if not self.collapsed_epochs:
            return []
        return [{"kind": "collapsed", "epochs": self.collapsed_epochs, "message": self.collapse}]
