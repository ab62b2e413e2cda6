"""Forward passes: logits, losses, residual streams, caches."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, NamedTuple

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _autograd as autograd
from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp._names import refuse_unknown
from interopinterp._plan import PlanScope, number, result
from interopinterp.ActivationCache import ActivationCache
from interopinterp.errors import InvalidArgumentError, UnimplementedError, unknown
from interopinterp.utilities.lm_utils import lm_cross_entropy_loss
from interopinterp.utilities.slice import Slice

_RETURN_TYPES = ("logits", "loss", "both", None)


class Output(NamedTuple):
    """What return_type="both" gives."""

    logits: Any
    loss: Any


@dataclasses.dataclass
class Call:
    """The arguments of forward."""

    input: Any
    return_type: str | None = "logits"
    loss_per_token: bool = False
    prepend_bos: bool | None = None
    padding_side: str | None = None
    start_at_layer: int | None = None
    tokens: Any = None
    shortformer_pos_embed: Any = None
    attention_mask: Any = None
    stop_at_layer: int | None = None
    past_kv_cache: Any = None

    @property
    def wants_loss(self) -> bool:
        return self.return_type in ("loss", "both") and self.stop_at_layer is None

    @property
    def wants_logits(self) -> bool:
        return self.return_type in ("logits", "both") and self.stop_at_layer is None


_PARAMETERS = list(inspect.signature(Call).parameters)


class Forward:
    """The model as a function, and its caches."""

    # Calls every hook point's module in firing order, hooks or not: for tools that hook modules while the model runs (nnsight).
    call_every_hook_point = False
    output = Output

    def forward(
        self, input: Any, return_type: str | None = "logits", loss_per_token: bool = False, prepend_bos: bool | None = None,
        padding_side: str | None = None, start_at_layer: int | None = None, tokens: Any = None, shortformer_pos_embed: Any = None,
        attention_mask: Any = None, stop_at_layer: int | None = None, past_kv_cache: Any = None,
    ) -> Any:
        """Runs the model on a text, texts, tokens [batch, pos] or [pos], or with start_at_layer a residual stream [batch, pos, d_model].

        return_type      "logits" [batch, pos, d_vocab], "loss" (mean next-token cross-entropy in nats; [batch, pos - 1] with
                         loss_per_token), "both" (.logits, .loss), None (nothing: for hooks)
        start_at_layer   the first block to run; tokens beside it where a loss is wanted
        stop_at_layer    the block to stop before: gives the residual stream there [batch, pos, d_model]. Negative ones count from the end
        attention_mask   [batch, pos], 0 at padding. Padding on the left is found by itself; texts need none
        past_kv_cache    a TransformerLensKeyValueCache: the tokens go on where earlier calls with it ended
        """
        return self._pass(Call(input, return_type, loss_per_token, prepend_bos, padding_side, start_at_layer, tokens, shortformer_pos_embed,
                               attention_mask, stop_at_layer, past_kv_cache))[0]

    def run_with_cache(
        self, *model_args: Any, return_cache_object: bool = True, remove_batch_dim: bool = False, names_filter: Any = None,
        device: Any = None,
        incl_bwd: bool = False, reset_hooks_end: bool = True, clear_contexts: bool = False, pos_slice: Any = None, **model_kwargs: Any,
    ) -> tuple[Any, Any]:
        """(what forward gives, the activations of hook points).

        names_filter      a name, a list of names, a function of names, or a pattern with "*"; None: everything
        remove_batch_dim  for a single row: entries without their first axis
        incl_bwd          with return_type="loss": also its gradients, under name + "_grad"
        pos_slice         positions to keep: an int, (start, stop), a slice, a list
        Over gRPC entries stay on the server until they are looked at. Raises UNKNOWN_HOOK_POINT, FILTER_MATCHES_NOTHING,
        HOOK_POINT_SILENT (a flag is off, or the run stops before it).
        """
        others = [name for name in inspect.signature(self.run_with_cache).parameters if not name.startswith("model_")]
        refuse_unknown("run_with_cache", {k: v for k, v in model_kwargs.items() if k not in _PARAMETERS}, [*others, *_PARAMETERS])
        call = Call(*model_args, **model_kwargs)
        if incl_bwd and (call.return_type != "loss" or call.loss_per_token):
            raise InvalidArgumentError("NO_SCALAR", "incl_bwd differentiates the loss: pass return_type='loss'. For other metrics see "
                                       "model.gradients(tokens, metric, names).")
        names = self._names(names_filter, call)
        out, response = self._pass(call, names, Slice.unwrap(pos_slice), incl_bwd)
        cache = {item.name: self.transport.take(item.tensor) for item in response.captures}
        if device is not None:
            cache = {name: value.to(device) if arrays.is_torch(value) else value for name, value in cache.items()}
        if remove_batch_dim:
            cache = {name: _unbatched(name, value) for name, value in cache.items()}
        if clear_contexts:
            self.clear_contexts()
        return out, ActivationCache(cache, self, has_batch_dim=not remove_batch_dim) if return_cache_object else cache

    def loss_fn(self, logits: Any, tokens: Any, attention_mask: Any = None, per_token: bool = False) -> Any:
        """Next-token cross-entropy of given logits; see utilities.lm_cross_entropy_loss."""
        return lm_cross_entropy_loss(logits, tokens, attention_mask, per_token)

    def input_to_embed(
        self, input: Any, prepend_bos: bool | None = None, padding_side: str | None = None, attention_mask: Any = None,
        past_kv_cache: Any = None,
    ) -> tuple[Any, Any, Any, Any]:
        """(residual stream before the first block, tokens, None, attention mask or None) of a text or tokens."""
        if past_kv_cache is not None:
            raise UnimplementedError("NOT_OFFERED", "input_to_embed takes no past_kv_cache; model(tokens, past_kv_cache=...) does.")
        given = inputs.read(self, input, prepend_bos, padding_side, attention_mask)
        residual = self._pass(Call(input, None, False, prepend_bos, padding_side, attention_mask=attention_mask, stop_at_layer=0))[0]
        mask = given.mask()
        return (residual, arrays.from_numpy(given.padded(self.pad_token_id)), None, None if mask.all() else arrays.from_numpy(mask))

    def apply_ln_final(self, x: Any) -> Any:
        """The final norm of residual streams [..., d_model], as the unembedding reads them."""
        return self._after_blocks(x, "unembed.hook_in", None)

    def apply_unembed(self, x: Any) -> Any:
        """Logits [..., d_vocab] of what the final norm gives [..., d_model], before any soft cap."""
        return self._after_blocks(x, "unembed.hook_out", "unembed.hook_in")

    def apply_embed(self, tokens: Any) -> Any:
        """Embeddings [batch, pos, d_model] of tokens, without positions."""
        return self.run_with_cache(tokens, return_type=None, names_filter="hook_embed", stop_at_layer=0)[1]["hook_embed"]

    def _pass(self, call: Call, names: list[str] = (), pos: Slice | None = None, incl_bwd: bool = False) -> tuple[Any, pb.RunPlanResponse]:
        if call.return_type not in _RETURN_TYPES:
            raise unknown("UNKNOWN_RETURN_TYPE", "return_type", str(call.return_type), [t for t in _RETURN_TYPES if t],
                          "None gives nothing back.")
        if call.shortformer_pos_embed is not None:
            raise UnimplementedError("NOT_OFFERED", "shortformer_pos_embed: the engine adds a shortformer's positions itself.")
        if call.past_kv_cache is not None:
            return call.past_kv_cache.run(self, call, names, pos)
        self.check_weights()
        given = inputs.read(self, call.input, call.prepend_bos, call.padding_side, call.attention_mask, call.start_at_layer, call.tokens)
        if call.wants_loss:
            if call.start_at_layer is not None and call.tokens is None:
                raise InvalidArgumentError("LOSS_NEEDS_TOKENS", "The loss of a run from a residual stream needs its tokens: pass tokens=.")
            inputs.warn_of_padding(self, given)
        recorder = autograd.recorder(self, call)
        with self.transport.loans() as loans:
            scope = PlanScope(self, loans, recorder=recorder).run(given, call.start_at_layer, call.stop_at_layer)
            scope.outputs(
                logits=pb.LOGITS_WANTED_ALL if call.wants_logits or recorder and call.wants_loss else pb.LOGITS_WANTED_NONE,
                loss=call.wants_loss and not call.loss_per_token, loss_per_token=call.wants_loss and call.loss_per_token)
            scope.capture(names, pos).hooks(backward=incl_bwd)
            if incl_bwd:
                scope.plan.objective.metric.loss.SetInParent()
                scope.capture((name for name in names if name != "hook_tokens"), pos, gradient=True)
            response = self.transport.run_plan(pb.RunPlanRequest(model=self._name, plan=scope.plan))
        if incl_bwd:
            autograd.weigh_rows(self, given, response)
        return self._output(call, given, response, recorder), response

    def _output(self, call: Call, given: inputs.Input, response: pb.RunPlanResponse, recorder: Any) -> Any:
        residual = result(response, "residual", self.transport)
        logits = result(response, "logits", self.transport)
        loss = result(response, "loss_per_token", self.transport)
        if response.HasField("loss"):
            loss = number(response.loss)
        if recorder is not None:
            residual, logits, loss = recorder.attach(given, residual, logits, loss)
        if call.stop_at_layer is not None:
            return residual
        return {"logits": logits, "loss": loss, "both": Output(logits, loss), None: None}[call.return_type]

    def _names(self, names_filter: Any, call: Call) -> list[str]:
        first, end = _layers(call.start_at_layer, 0, self.cfg.n_layers), _layers(call.stop_at_layer, self.cfg.n_layers, self.cfg.n_layers)

        def fires(name: str) -> bool:
            parts = name.split(".")
            if parts[0] == "blocks":
                return first <= int(parts[1]) < end
            return call.start_at_layer is None if name in ("hook_tokens", "hook_embed", "hook_pos_embed") else call.stop_at_layer is None

        by_name = names_filter is not None and not callable(names_filter) and "*" not in names_filter
        of_saes = self.sae_names()
        if of_saes and not by_name:
            wanted = names_filter if callable(names_filter) else lambda name: True
            of_saes = [name for name, (point, _) in of_saes.items() if wanted(name) and fires(point)]
        elif of_saes:
            listed = [names_filter] if isinstance(names_filter, str) else list(names_filter)
            of_saes = [name for name in listed if name in of_saes]
            names_filter = [name for name in listed if name not in of_saes]
        found = [name for name, _ in self.points(names_filter, "names_filter")] if names_filter is not None else list(self.fireable())
        return list(dict.fromkeys([*(found if by_name else filter(fires, found)), *of_saes]))

    def _after_blocks(self, x: Any, point: str, put: str | None) -> Any:
        """What stands at a point behind the blocks, for vectors [..., d_model] that stand before the final norm, or at a point `put`."""
        flat = arrays.to_numpy(x).reshape(-1, 1, self.cfg.d_model).astype(arrays.dtype_name(self.cfg.dtype), copy=False)
        with self.transport.loans() as loans:
            scope = PlanScope(self, loans)
            scope.run(inputs.Input([], residual=flat if put is None else np.zeros_like(flat)), start_at_layer=self.cfg.n_layers)
            if put is not None:
                scope.plan.interventions.add(point=put).set.value.CopyFrom(loans.tensor(flat))
            response = self.transport.run_plan(pb.RunPlanRequest(model=self._name, plan=scope.capture([point]).plan))
        out = self.transport.take(response.captures[0].tensor)
        return out.reshape(*x.shape[:-1], out.shape[-1])


def _layers(layer: int | None, default: int, count: int) -> int:
    return default if layer is None else layer + count if layer < 0 else layer


def _unbatched(name: str, value: Any) -> Any:
    if value.shape[0] != 1:
        raise InvalidArgumentError("BATCH_OF_SEVERAL", f"remove_batch_dim is for a single row; '{name}' has {value.shape[0]}.")
    return value[0]
