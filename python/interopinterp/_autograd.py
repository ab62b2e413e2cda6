"""torch's backward through the engine: the loss or logits that a run gave, differentiated by a second run that starts from them."""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._callbacks import torch_grad_enabled
from interopinterp._plan import PlanScope
from interopinterp.errors import FailedPreconditionError
from interopinterp.utilities.lm_utils import lm_cross_entropy_loss


def recorder(model: Any, call: Any) -> "Recorder | None":
    """What a run must remember for a later backward: nothing where torch is not in use, records no gradients, or is far away."""
    return Recorder(model, call) if torch_grad_enabled() and model.transport.has_callbacks else None


def weigh_rows(model: Any, given: Any, response: pb.RunPlanResponse) -> None:
    """Scales gradients of the mean over rows to gradients of the mean over tokens, where rows have different numbers of them."""
    mask = given.mask().astype(bool)
    counts = (mask[:, 1:] & mask[:, :-1]).sum(1)
    if len(set(counts.tolist())) == 1:
        return
    if any(point.bwd_hooks for point in model.hook_points()):
        raise FailedPreconditionError("ROWS_OF_DIFFERENT_LENGTH",
                                      "Backward hooks with incl_bwd need rows with the same number of tokens: the "
                                      "loss weighs tokens, the engine rows. Run them one by one.")
    scale = counts * len(counts) / counts.sum()
    for item in response.captures:
        if item.name.endswith("_grad"):
            gradient = arrays.to_numpy(model.transport.take(item.tensor))
            scaled = np.ascontiguousarray(gradient * scale.reshape(-1, *[1] * (gradient.ndim - 1)).astype(gradient.dtype))
            data = pb.TensorData(data_type=arrays.DATA_TYPES[scaled.dtype.name], shape=scaled.shape, data=scaled.tobytes())
            item.tensor.CopyFrom(pb.Tensor(value=data))


class Recorder:
    """One run with gradients on.

    edited  hook points where a Python hook changed the activation
    """

    def __init__(self, model: Any, call: Any):
        self._model, self._call = model, call
        self.edited: set[str] = set()

    def attach(self, given: Any, residual: Any, logits: Any, loss: Any) -> tuple[Any, Any, Any]:
        """The run's results as tensors that backward can start from."""
        torch = sys.modules["torch"]
        outputs = {name: value for name, value in (("residual", residual), ("logits", logits), ("loss", loss)) if arrays.is_torch(value)}
        if not outputs or self._call.stop_at_layer == 0:
            return residual, logits, loss
        residual_in = given.residual
        start = residual_in if arrays.is_torch(residual_in) and residual_in.requires_grad else torch.zeros((), requires_grad=True)
        made = dict(zip(outputs, _function().apply(start, self, given, outputs)))
        return made.get("residual", residual), made.get("logits", logits), made.get("loss", loss)

    def backward(self, given: Any, outputs: dict[str, Any], gradients: dict[str, Any], wants_input: bool) -> Any:
        """Runs the backward hooks with the gradients of the results; the gradient of the residual stream that went in, if wanted."""
        model, call, torch = self._model, self._call, sys.modules["torch"]
        if not wants_input and not any(point.bwd_hooks for point in model.hook_points()):
            return None
        if "residual" in gradients:
            end = call.stop_at_layer + (model.cfg.n_layers if call.stop_at_layer < 0 else 0)
            point, cotangent = f"blocks.{end - 1}.hook_resid_post", gradients["residual"]
        else:
            point, cotangent = "unembed.hook_out", self._of_logits(given, outputs, gradients)
        first = (call.start_at_layer or 0) + (model.cfg.n_layers if (call.start_at_layer or 0) < 0 else 0)
        with torch.no_grad(), model.transport.loans() as loans:
            scope = PlanScope(model, loans).run(given, call.start_at_layer, call.stop_at_layer).hooks(backward=True, edited=self.edited)
            scope.plan.objective.cotangents[point].CopyFrom(loans.tensor(cotangent))
            if wants_input:
                scope.capture([f"blocks.{first}.hook_resid_pre"], gradient=True)
            response = model.transport.run_plan(pb.RunPlanRequest(model=model._name, plan=scope.plan))
            return model.transport.take(response.captures[-1].tensor) if wants_input else None

    def _of_logits(self, given: Any, outputs: dict[str, Any], gradients: dict[str, Any]) -> Any:
        torch = sys.modules["torch"]
        total = gradients.get("logits")
        if gradients.get("loss") is not None:
            with torch.enable_grad():
                logits = outputs["logits"].detach().requires_grad_()
                tokens, mask = given.padded(self._model.pad_token_id or 0), given.mask()
                loss = lm_cross_entropy_loss(logits, tokens, None if mask.all() else mask, self._call.loss_per_token)
                (own,) = torch.autograd.grad(loss, logits, gradients["loss"])
            total = own if total is None else total + own
        cap = self._model.cfg.output_logits_soft_cap
        # unembed.hook_out stands before the soft cap, the logits behind it.
        return total if cap <= 0 else total * (1 - (outputs["logits"].detach() / cap) ** 2)


@functools.lru_cache(maxsize=1)
def _function() -> Any:
    torch = sys.modules["torch"]

    class Run(torch.autograd.Function):
        @staticmethod
        def forward(ctx, start, record, given, outputs):
            ctx.record, ctx.given, ctx.outputs, ctx.names = record, given, outputs, list(outputs)
            ctx.set_materialize_grads(False)
            ctx.wants_input = start.ndim > 0 and start.requires_grad
            return tuple(value.detach() for value in outputs.values())

        @staticmethod
        def backward(ctx, *gradients):
            found = {name: g for name, g in zip(ctx.names, gradients) if g is not None}
            gradient = ctx.record.backward(ctx.given, ctx.outputs, found, ctx.wants_input) if found else None
            return gradient, None, None, None

    return Run
