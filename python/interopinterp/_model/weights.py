"""Weights by name, fetched when they are looked at."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any, Iterator

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp.errors import FailedPreconditionError, InvalidArgumentError, unknown
from interopinterp.FactoredMatrix import FactoredMatrix

# Properties of the model that stack a weight over layers, and the weight within a block.
_STACKED = {
    "W_Q": "attn.W_Q", "W_K": "attn.W_K", "W_V": "attn.W_V", "W_O": "attn.W_O", "b_Q": "attn.b_Q", "b_K": "attn.b_K", "b_V": "attn.b_V",
    "b_O": "attn.b_O", "W_in": "mlp.W_in", "W_gate": "mlp.W_gate", "W_out": "mlp.W_out", "b_in": "mlp.b_in", "b_out": "mlp.b_out"}
_SINGLE = {"W_E": "embed.W_E", "W_pos": "pos_embed.W_pos", "W_U": "unembed.W_U", "b_U": "unembed.b_U"}


class StateDict(Mapping):
    """The weights of a model by their TransformerLens names. A value is fetched when it is asked for."""

    def __init__(self, model: Any):
        self._model = model

    def __getitem__(self, name: str) -> Any:
        return self._model.weight(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._model.weight_shapes)

    def __len__(self) -> int:
        return len(self._model.weight_shapes)

    def __repr__(self) -> str:
        return f"StateDict of {len(self)} weights of {self._model.cfg.model_name}"


class Weights:
    """Weights as attributes of the model and of its parts.

    Arrays are read-only: a model is shared by all who loaded it. To change weights change copies and load them:

        state = dict(model.state_dict()); state["blocks.0.attn.W_Q"] = state["blocks.0.attn.W_Q"] * 2; model.load_state_dict(state)
    """

    def weight(self, name: str) -> Any:
        """A weight by its TransformerLens name. Raises UNKNOWN_WEIGHT with the nearest names."""
        if name not in self.weight_shapes:
            raise unknown("UNKNOWN_WEIGHT", "weight", name, self.weight_shapes)
        library = arrays.torch()
        key = (name, library is not None)
        if key not in self._weights:
            found = self.transport.call(pb.GetWeightsRequest(model=self._name, names=[name])).weights
            self._weights[key] = self.transport.take(found[name])
            if library is not None and arrays.is_torch(self._weights[key]):
                self._handed_out[name] = (self._weights[key], self._weights[key]._version)
        return self._weights[key]

    def ungrouped(self, name: str) -> Any:
        """Of grouped keys and values ("blocks.0.attn._W_K"), a head per query head."""
        grouped = self.weight(name)
        times = self.cfg.n_heads // grouped.shape[0]
        return grouped.repeat_interleave(times, 0) if arrays.is_torch(grouped) else np.repeat(np.asarray(grouped), times, 0)

    def factored(self, name: str, attn: Any = None) -> FactoredMatrix:
        """QK or OV of one block's attention, or of all [layer, head]."""
        of = self if attn is None else attn
        if name == "OV":
            return FactoredMatrix(of.W_V, of.W_O)
        keys = of.W_K
        return FactoredMatrix(of.W_Q, keys.transpose(-2, -1) if arrays.is_torch(keys) else np.swapaxes(np.asarray(keys), -2, -1))

    def state_dict(self, *_: Any, **__: Any) -> StateDict:
        """The weights by name, fetched one by one as they are looked at."""
        return StateDict(self)

    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        """(name, weight) of every weight."""
        return ((name, self.weight(name)) for name in self.weight_shapes)

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """Every weight."""
        return (weight for _, weight in self.named_parameters())

    @property
    def QK(self) -> FactoredMatrix:
        """W_Q W_K^T of every head [layer, head, d_model, d_model]."""
        return self.factored("QK")

    @property
    def OV(self) -> FactoredMatrix:
        """W_V W_O of every head [layer, head, d_model, d_model]."""
        return self.factored("OV")

    @property
    def W_E_pos(self) -> Any:
        """W_E and W_pos below each other: [d_vocab + n_ctx, d_model]."""
        parts = [self.W_E, self.W_pos]
        return arrays.torch().cat(parts) if arrays.is_torch(parts[0]) else np.concatenate([np.asarray(p) for p in parts])

    @property
    def n_params_total(self) -> int:
        """How many numbers the weights are."""
        return sum(int(np.prod(shape)) for shape in self.weight_shapes.values())

    def all_head_labels(self) -> list[str]:
        """L0H0, L0H1, ..."""
        return [f"L{layer}H{head}" for layer in range(self.cfg.n_layers) for head in range(self.cfg.n_heads)]

    def all_composition_scores(self, mode: str) -> Any:
        """How much each head reads from each head of an earlier layer, by its "Q", "K" or "V": [layer, head, layer, head], 0 elsewhere."""
        kinds = {"Q": pb.COMPOSITION_KIND_Q, "K": pb.COMPOSITION_KIND_K, "V": pb.COMPOSITION_KIND_V}
        if mode not in kinds:
            raise InvalidArgumentError("INVALID_MODE", f"mode is {mode!r}; it may be 'Q', 'K' or 'V'.")
        return self.transport.take(self.transport.call(pb.ScoreCompositionRequest(model=self._name, kind=kinds[mode], samples=0)).scores)

    def accumulated_bias(self, layer: int, mlp_input: bool = False, include_mlp_biases: bool = True) -> Any:
        """The sum of the biases that stand in the residual stream before a layer, or with mlp_input before its MLP: [d_model]."""
        if not 0 <= layer <= self.cfg.n_layers or mlp_input and layer == self.cfg.n_layers:
            raise InvalidArgumentError("LAYER_OUT_OF_RANGE", f"layer is {layer}; the model has {self.cfg.n_layers} layers.")
        total = np.zeros(self.cfg.d_model, np.float32)
        for index in range(layer + mlp_input):
            total = total + arrays.to_numpy(self.weight(f"blocks.{index}.attn.b_O"))
            if include_mlp_biases and not self.cfg.attn_only and index < layer:
                total = total + arrays.to_numpy(self.weight(f"blocks.{index}.mlp.b_out"))
        return arrays.from_numpy(total)

    def check_weights(self) -> None:
        """Refuses to go on where a weight that was handed out has been written to: the engine would not know."""
        for name, (tensor, version) in self._handed_out.items():
            if tensor._version != version:
                raise FailedPreconditionError(
                    "WEIGHT_WRITTEN_TO", f"'{name}' was changed in place; the model does not see that. Load changed weights: state = "
                    f"dict(model.state_dict()); state['{name}'] = ...; model.load_state_dict(state).")

    def _stack(self, within: str) -> Any:
        part, _, last = within.partition(".")
        values = [getattr(getattr(block, part), last) for block in self.blocks]
        return arrays.stack(values)


def _single(full: str) -> property:
    def fetch(self: Any) -> Any:
        if full not in self.weight_shapes:
            raise AttributeError(f"The model has no weight {full}.")
        return self.weight(full)
    return property(fetch, doc=f"{full}, fetched once.")


def _stacked(name: str, within: str) -> property:
    def fetch(self: Any) -> Any:
        key = (name, arrays.torch() is not None)
        if key not in self._weights:
            if not fnmatch.filter(self.weight_shapes, f"blocks.*.{within.replace('.', '.*')}"):
                if name == "W_gate":
                    return None
                raise AttributeError(f"The model has no {name}: no weight of a block is called {within}.")
            self._weights[key] = self._stack(within)
        return self._weights[key]
    return property(fetch, doc=f"{within} of every layer, stacked: [layer, ...]. Grouped keys and values are repeated per query head.")


for _name, _full in _SINGLE.items():
    setattr(Weights, _name, _single(_full))
for _name, _within in _STACKED.items():
    setattr(Weights, _name, _stacked(_name, _within))
