"""Gradients of metrics at hook points."""

from __future__ import annotations

import sys
from typing import Any

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp._model.forward import Call
from interopinterp._plan import PlanScope
from interopinterp.errors import InvalidArgumentError
from interopinterp.metrics import Metric


class Gradients:
    """gradients and measure."""

    def gradients(self, input: Any, metric: Any, names: Any = None, *, attention_mask: Any = None,
                  cotangents: dict[str, Any] | None = None) -> dict[str, Any]:
        """d(metric)/d(activation) at hook points, by name: arrays of the activations' shapes.

        metric      a metric of interopinterp.metrics (of several rows the mean counts); or a function of torch logits [batch, pos, d_vocab]
                    that torch can differentiate; or None with cotangents: hook point -> d(anything)/d(activation)
        names       as names_filter of run_with_cache
        """
        given = inputs.read(self, input, attention_mask=attention_mask)
        names = [name for name in self._names(names, Call(input)) if name != "hook_tokens"]
        if metric is not None and not isinstance(metric, Metric):
            cotangents = {"unembed.hook_out": self._cotangent(input, metric, attention_mask), **(cotangents or {})}
            metric = None
        if metric is None and not cotangents:
            raise InvalidArgumentError("NO_OBJECTIVE", "gradients needs a metric, or cotangents of hook points.")
        with self.transport.loans() as loans:
            scope = PlanScope(self, loans).run(given).hooks(backward=True).capture(names, gradient=True)
            if metric is not None:
                scope.plan.objective.metric.CopyFrom(metric.to_proto(self, loans))
            for name, value in (cotangents or {}).items():
                scope.plan.objective.cotangents[name].CopyFrom(loans.tensor(value))
            response = self.transport.run_plan(pb.RunPlanRequest(model=self._name, plan=scope.plan))
        return {item.name.removesuffix("_grad"): self.transport.take(item.tensor) for item in response.captures}

    def measure(self, input: Any, metric: Metric, *, attention_mask: Any = None) -> Any:
        """A declared metric of each row [batch], unembedding only what it reads. Hooks that stand in the model run."""
        given = input if isinstance(input, inputs.Input) else inputs.read(self, input, attention_mask=attention_mask)
        with self.transport.loans() as loans:
            scope = PlanScope(self, loans).run(given).hooks()
            scope.plan.objective.metric.CopyFrom(metric.to_proto(self, loans))
            return self.transport.take(self.transport.run_plan(pb.RunPlanRequest(model=self._name, plan=scope.plan)).metric)

    def _cotangent(self, input: Any, metric: Any, attention_mask: Any) -> Any:
        torch = sys.modules.get("torch")
        if not hasattr(torch, "autograd"):
            name = getattr(metric, "__name__", type(metric).__name__)
            raise InvalidArgumentError("METRIC_NOT_DIFFERENTIABLE",
                                       f"The metric {name} is a Python function; to differentiate it takes torch (import "
                                       "torch), or say it as data: a metric of interopinterp.metrics.")
        with torch.no_grad():
            logits = self(input, attention_mask=attention_mask)
        logits = torch.as_tensor(arrays.to_numpy(logits))
        with torch.enable_grad():
            leaf = logits.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(metric(leaf), leaf)
        cap = self.cfg.output_logits_soft_cap
        return gradient if cap <= 0 else gradient * (1 - (logits / cap) ** 2)
