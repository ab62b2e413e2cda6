"""The tuned lens: a translator per layer in front of the unembedding (Belrose et al. 2023)."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Mapping

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp import _safetensors
from interopinterp._model import inputs
from interopinterp.errors import InvalidArgumentError


@dataclasses.dataclass(frozen=True)
class TunedLens:
    """Translators h + W h + b from the stream that a block reads to the one that is unembedded.

    translators  "0.weight" [d_model, d_model], "0.bias" [d_model], "1.weight", ...: as the tuned-lens package calls them
    losses       of each step of the training, KL(final || lens) in nats per token; empty where the lens was read
    """

    translators: Mapping[str, Any]
    losses: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))

    def save(self, path: Any) -> None:
        """Writes the translators as safetensors."""
        _safetensors.save(path, {name: np.ascontiguousarray(arrays.to_numpy(value)) for name, value in self.translators.items()},
                          {"kind": "tuned_lens", "n_layers": str(len(self.translators) // 2)})

    @staticmethod
    def load(path: Any) -> "TunedLens":
        """Reads translators that were saved, here or by the engine."""
        tensors, _ = _safetensors.load(path)
        if not tensors or not all(re.fullmatch(r"\d+\.(weight|bias)", name) for name in tensors):
            raise InvalidArgumentError("LENS_INVALID", f"'{path}' is no tuned lens: it has {', '.join(list(tensors)[:3])}; '0.weight', "
                                       "'0.bias', ... are expected.")
        return TunedLens(tensors)

    def _repr_html_(self) -> str:
        from interopinterp._circuits import drawing

        if not len(self.losses):
            return repr(self)
        top = float(self.losses.max()) or 1.0
        return f"<div>{repr(self)}</div>" + drawing.curve(
            range(1, len(self.losses) + 1), [float(loss) / top for loss in self.losses], [f"{loss:.4g}" for loss in self.losses],
            [True] * len(self.losses), "step", f"loss / {top:.3g}")

    def __repr__(self) -> str:
        trained = f", {len(self.losses)} steps to {self.losses[-1]:.4g} nats" if len(self.losses) else ""
        return f"TunedLens({len(self.translators) // 2} layers{trained})"


def train_tuned_lens(
    model: Any, input: Any, *, steps: int = 250, batch_size: int = 8, learning_rate: float = 1e-3, seed: int = 0
) -> TunedLens:
    """Trains a lens in the engine: Adam on KL(final || lens) over all positions. The model is not changed.

    input          token ids [batch, pos] or texts, of one length
    batch_size     rows per step, drawn anew from those given until each was used
    learning_rate  the highest; it falls linearly to zero
    """
    model.check_weights()
    plan = pb.Plan()
    with model.transport.loans() as loans:
        inputs.read(model, input).write(plan, loans)
        found = model.transport.follow_with_bar(pb.TrainTunedLensRequest(
            model=model._name, rows=plan.rows,
            options=pb.TunedLensOptions(steps=steps, batch_size=batch_size, learning_rate=learning_rate, seed=seed)), "tuned lens")
    translators = {name: model.transport.take(tensor) for name, tensor in found.translators.items()}
    order = sorted(translators, key=lambda name: (int(name.partition(".")[0]), name.endswith("bias")))
    return TunedLens({name: translators[name] for name in order}, np.array(found.losses, np.float32))
