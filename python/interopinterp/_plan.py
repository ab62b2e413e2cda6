"""A plan while it is written: input, flags, hooks, captures, and the runs that hooks take values from."""

from __future__ import annotations

from typing import Any, Iterable

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _callbacks as callbacks
from interopinterp import _pb as pb
from interopinterp import _selection as selection
from interopinterp._model import inputs
from interopinterp.hook_points import HookPoint, LensHandle
from interopinterp.ops import Op

FLAGS = ("use_attn_result", "use_split_qkv_input", "use_attn_in", "use_hook_mlp_in", "use_hook_tokens", "ungroup_grouped_query_attention")


def flags(cfg: Any) -> pb.ModelFlags:
    """Which conditional hook points a config asks for."""
    return pb.ModelFlags(**{name: bool(getattr(cfg, name)) for name in FLAGS})


class PlanScope:
    """A plan in the making.

    plan   the message
    loans  what lends tensors and functions for the call
    """

    def __init__(self, model: Any, loans: Any, plan: pb.Plan | None = None, recorder: Any = None):
        self.model = model
        self.loans = loans
        self.plan = pb.Plan() if plan is None else plan
        self.plan.flags.CopyFrom(flags(model.cfg))
        self.recorder = recorder
        self._sources: list[tuple[Any, str]] = []

    def run(self, given: inputs.Input, start_at_layer: int | None = None, stop_at_layer: int | None = None) -> "PlanScope":
        """What runs, and from which layer to which."""
        given.write(self.plan, self.loans)
        if start_at_layer is not None:
            self.plan.start_at_layer = start_at_layer
        if stop_at_layer is not None:
            self.plan.stop_at_layer = stop_at_layer
        return self

    def outputs(self, logits: int = pb.LOGITS_WANTED_NONE, loss: bool = False, loss_per_token: bool = False) -> "PlanScope":
        """What comes back besides captures."""
        self.plan.outputs.CopyFrom(pb.Outputs(logits=logits, loss=loss, loss_per_token=loss_per_token))
        return self

    def capture(self, names: Iterable[str], pos: Any = None, gradient: bool = False, before: bool = False) -> "PlanScope":
        """Activations (or gradients) to come back."""
        saes, where = self.model.sae_names(), selection.selector(pos=pos)
        for name in names:
            if name in saes:
                self.model.capture_sae(self, name, where)
            else:
                self.plan.captures.add(point=name, gradient=gradient, before=before, where=where)
        return self

    def hooks(self, permanent_only: bool = False, backward: bool = False, edited: set[str] | None = None) -> "PlanScope":
        """SAEs and hooks that stand in the model. edited: points that Python's forward hooks are known to edit; others stay out."""
        self.model.splice_saes(self)
        every = self.model.call_every_hook_point
        for point in self.model.hook_points():
            own = point.__dict__
            if not (every or own["fwd_hooks"] or own["bwd_hooks"] or callbacks.has_torch_hooks(point)):
                continue
            looked = edited is not None and point.name not in edited
            forward = [h for h in point.fwd_hooks if (h.is_permanent or not permanent_only) and (isinstance(h.user_hook, Op) or not looked)]
            self._hooks(point, forward, False)
            if backward:
                self._hooks(point, [h for h in point.bwd_hooks if h.is_permanent or not permanent_only], True)
            if not looked and (every or callbacks.has_torch_hooks(point)) and point.name in self.model.fireable():
                self._add(point.name, False, True).callback.id = callbacks.of_torch(self, point)
        return self

    def source(self, given: Any) -> str:
        """The name of a run that values are taken from: made once for each input."""
        for known, name in self._sources:
            if known is given:
                return name
        name = f"source{len(self._sources)}"
        self._sources.append((given, name))
        PlanScope(self.model, self.loans, self.plan.sources[name]).run(inputs.read(self.model, given)).hooks(permanent_only=True)
        return name

    def dictionary(self, sae: Any) -> str:
        """The engine's name of an SAE."""
        return sae.dictionary_name(self.model)

    def _hooks(self, point: HookPoint, handles: list[LensHandle], gradient: bool) -> None:
        # Functions that follow each other cross into Python together.
        group: list[LensHandle] = []
        for handle in handles + [None]:
            if handle is not None and not isinstance(handle.user_hook, Op):
                group.append(handle)
                continue
            if group:
                optional = all(h.is_permanent or h.is_optional for h in group)
                self._add(point.name, gradient, optional).callback.id = callbacks.of_hooks(self, point, group, gradient)
                group = []
            if handle is not None:
                handle.user_hook.write(self._add(point.name, gradient, handle.is_permanent or handle.is_optional), self)

    def _add(self, name: str, gradient: bool, optional: bool) -> pb.Intervention:
        return self.plan.interventions.add(point=name, gradient=gradient, is_optional=optional)


def result(response: pb.RunPlanResponse, name: str, transport: Any) -> Any:
    """A tensor of a response by its field, or None where it is absent."""
    return transport.take(getattr(response, name)) if response.HasField(name) else None


def number(value: float) -> Any:
    """A number as a result: numpy's float32, or a torch scalar where the user has imported torch."""
    return arrays.from_numpy(np.asarray(value, np.float32)) if arrays.torch() else np.float32(value)
