"""The residual stream by neurons, and as a whole."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp._cache.heads import whole
from interopinterp._cache.residual import as_slice, mean
from interopinterp.errors import FailedPreconditionError


class Neurons:
    """get_neuron_results, stack_neuron_results, get_full_resid_decomposition."""

    def get_neuron_results(self, layer: int, neuron_slice: Any = None, pos_slice: Any = None, project_output_onto: Any = None) -> Any:
        """What each neuron of an MLP adds to the stream: [batch, pos, neuron, d_model].

        project_output_onto  directions [d_model] or [d_model, outputs]: [batch, pos, neuron] or [batch, pos, neuron, outputs] instead
        """
        self._need_mlp()
        neurons, pos = as_slice(neuron_slice), as_slice(pos_slice)
        acts = neurons.apply(pos.apply(whole(self["post", layer]), -2), -1)
        weight = neurons.apply(self.model.blocks[layer].mlp.W_out, 0)
        if project_output_onto is None:
            return acts[..., None] * weight
        projected = weight @ project_output_onto
        return acts * projected if projected.ndim == 1 else acts[..., None] * projected

    def stack_neuron_results(
        self, layer: int, pos_slice: Any = None, neuron_slice: Any = None, return_labels: bool = False, incl_remainder: bool = False,
        apply_ln: bool = False, project_output_onto: Any = None,
    ) -> Any:
        """What every neuron before a layer adds: [layer * neuron, batch, pos, d_model], labels L0N0, ...

        incl_remainder       a last entry with everything else that stands in the stream there
        project_output_onto  directions [d_model] or [d_model, outputs], applied before anything of d_model is stacked; the norm's scale,
                             should it be asked for, comes first
        """
        self._need_mlp()
        layer, pos = self.up_to(layer), as_slice(pos_slice)
        neurons = as_slice([neuron_slice] if isinstance(neuron_slice, int) else neuron_slice)
        labels = [f"L{index}N{n}" for index in range(layer) for n in neurons.indices(self.model.cfg.d_mlp)]
        stream = pos.apply(whole(self["resid_post", layer - 1] if layer else self["resid_pre", 0]), -2)
        if project_output_onto is None:
            parts = [self.get_neuron_results(index, neurons, pos) for index in range(layer)]
        else:
            parts = [self._projected(index, layer, neurons, pos, apply_ln, project_output_onto) for index in range(layer)]
            stream = (self.apply_ln_to_stack(stream[None], layer, pos_slice=pos, has_batch_dim=self.has_batch_dim)[0] if apply_ln
                      else stream)
            stream = stream @ project_output_onto
        axis = -1 if project_output_onto is not None and project_output_onto.ndim == 1 else -2
        stacked = _first(_concatenated(parts, axis), axis) if parts else stream[None][:0]
        if incl_remainder:
            labels.append("remainder")
            stacked = _concatenated([stacked, (stream - stacked.sum(0))[None]], 0)
        if apply_ln and project_output_onto is None:
            stacked = self.apply_ln_to_stack(stacked, layer, pos_slice=pos, has_batch_dim=self.has_batch_dim)
        return (stacked, labels) if return_labels else stacked

    def get_full_resid_decomposition(
        self, layer: int | None = None, mlp_input: bool = False, expand_neurons: bool = True, apply_ln: bool = False, pos_slice: Any = None,
        return_labels: bool = False, project_output_onto: Any = None,
    ) -> Any:
        """Everything that stands in the stream a layer reads: heads, neurons (or MLPs), embed, pos_embed, biases: [components, batch, pos,
        d_model]. They sum to it. project_output_onto as in stack_neuron_results.
        """
        layer, pos, cfg = self.up_to(layer), as_slice(pos_slice), self.model.cfg

        def finished(stack: Any) -> Any:
            if apply_ln:
                stack = self.apply_ln_to_stack(stack, layer, mlp_input, pos, has_batch_dim=self.has_batch_dim)
            return stack if project_output_onto is None else stack @ project_output_onto

        stack, labels = self.stack_head_results(layer + mlp_input, True, pos_slice=pos)
        stacks = [finished(stack)]
        if not cfg.attn_only and layer > 0:
            if expand_neurons and project_output_onto is None:
                stack, more = self.stack_neuron_results(layer, pos, return_labels=True)
                stacks.append(finished(stack))
            elif expand_neurons:
                scale_at = layer if apply_ln else None
                parts = [self._projected(index, scale_at, as_slice(None), pos, apply_ln, project_output_onto, mlp_input)
                         for index in range(layer)]
                axis = -1 if project_output_onto.ndim == 1 else -2
                stacks.append(_first(_concatenated(parts, axis), axis))
                more = [f"L{index}N{n}" for index in range(layer) for n in range(cfg.d_mlp)]
            else:
                stack, more = self.decompose_resid(layer, mode="mlp", pos_slice=pos, incl_embeds=False, return_labels=True)
                stacks.append(finished(stack))
            labels = labels + more
        for has, name in ((self.has_embed, "embed"), (self.has_pos_embed, "pos_embed")):
            if has:
                stacks.append(finished(pos.apply(whole(self[f"hook_{name}"]), -2)[None]))
                labels = labels + [name]
        bias = self.model.accumulated_bias(layer, mlp_input, include_mlp_biases=expand_neurons)
        like = whole(self["resid_pre", 0])
        stacks.append(finished((pos.apply(like, -2) * 0 + bias)[None]))
        stacked = _concatenated(stacks, 0)
        return (stacked, labels + ["bias"]) if return_labels else stacked

    def _projected(self, index: int, layer: Any, neurons: Any, pos: Any, apply_ln: bool, directions: Any, mlp_input: bool = False) -> Any:
        """Neurons of a layer along directions, scaled by the norm that reads them: a/s (w - mean(w)) p, without [..., neuron, d_model]."""
        acts = neurons.apply(pos.apply(whole(self["post", index]), -2), -1)
        weight = neurons.apply(self.model.blocks[index].mlp.W_out, 0)
        if apply_ln and self.model.cfg.normalization_type is not None:
            acts = acts / self.norm_scale(layer, mlp_input, pos)
            weight = weight - mean(weight) if self.model.cfg.normalization_type in ("LN", "LNPre") else weight
        projected = weight @ directions
        return acts * projected if projected.ndim == 1 else acts[..., None] * projected

    def _need_mlp(self) -> None:
        if self.model.cfg.attn_only:
            raise FailedPreconditionError("NO_MLP", "The model has attention only: there are no neurons.")


def _concatenated(parts: list[Any], axis: int) -> Any:
    return sys.modules["torch"].cat(parts, axis) if arrays.is_torch(parts[0]) else np.concatenate(parts, axis)


def _first(x: Any, axis: int) -> Any:
    return x.movedim(axis, 0) if arrays.is_torch(x) else np.moveaxis(x, axis, 0)
