"""SAEs in a model's forward pass: SAELens's HookedSAETransformer."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator

from interopinterp import _pb as pb
from interopinterp._plan import PlanScope
from interopinterp.errors import InvalidArgumentError, unknown
from interopinterp.sae import SAE

# What can be seen of an SAE in a model, behind the name of its hook point, and which part of it that is.
_PARTS = {
    "hook_sae_input": None, "hook_sae_acts_pre": pb.DICTIONARY_PART_PRE_ACTIVATIONS, "hook_sae_acts_post": pb.DICTIONARY_PART_CODES,
    "hook_sae_recons": pb.DICTIONARY_PART_RECONSTRUCTION, "hook_sae_error": pb.DICTIONARY_PART_ERROR, "hook_sae_output": None}


class Saes:
    """add_sae, run_with_saes and their kin. Where an SAE is attached, its reconstruction takes the activation's place before any hook."""

    @property
    def acts_to_saes(self) -> dict[str, SAE]:
        """The SAEs that are attached, by hook point."""
        return {name: sae for name, (sae, _) in self._saes.items()}

    def add_sae(self, sae: SAE, use_error_term: bool | None = None) -> None:
        """Attaches an SAE at its hook point, in place of one that is there."""
        if not isinstance(sae, SAE):
            raise InvalidArgumentError("NOT_AN_SAE", f"An SAE is expected; got a {type(sae).__name__}.")
        sae.dictionary_name(self)
        self._saes[self.resolve(sae.hook_name)] = (sae, sae.use_error_term if use_error_term is None else use_error_term)

    def reset_saes(self, act_names: str | list[str] | None = None) -> None:
        """Detaches SAEs: all, or those at some hook points."""
        for name in list(self._saes) if act_names is None else [act_names] if isinstance(act_names, str) else act_names:
            if name not in self._saes:
                raise unknown("NO_SAE", "hook point with an SAE", name, self._saes)
            del self._saes[name]

    @contextlib.contextmanager
    def saes(self, saes: SAE | list[SAE] = (), reset_saes_end: bool = True, use_error_term: bool | None = None) -> Iterator[Any]:
        """Attaches SAEs for a block; afterwards those are there that were before."""
        before = dict(self._saes)
        try:
            for sae in [saes] if isinstance(saes, SAE) else saes:
                self.add_sae(sae, use_error_term)
            yield self
        finally:
            if reset_saes_end:
                self._saes = before

    def run_with_saes(
        self, *model_args: Any, saes: SAE | list[SAE] = (), reset_saes_end: bool = True, use_error_term: bool | None = None,
        **model_kwargs: Any
    ) -> Any:
        """forward with SAEs attached."""
        with self.saes(saes, reset_saes_end, use_error_term):
            return self(*model_args, **model_kwargs)

    def run_with_cache_with_saes(
        self, *model_args: Any, saes: SAE | list[SAE] = (), reset_saes_end: bool = True, use_error_term: bool | None = None,
        **model_kwargs: Any
    ) -> tuple[Any, Any]:
        """run_with_cache with SAEs attached. Behind each one's hook point it holds NAME.hook_sae_input, hook_sae_recons, hook_sae_error
        and hook_sae_output [..., d_in], and hook_sae_acts_pre and hook_sae_acts_post [..., d_sae].
        """
        with self.saes(saes, reset_saes_end, use_error_term):
            return self.run_with_cache(*model_args, **model_kwargs)

    def run_with_hooks_with_saes(
        self, *model_args: Any, saes: SAE | list[SAE] = (), reset_saes_end: bool = True, use_error_term: bool | None = None,
        **model_kwargs: Any
    ) -> Any:
        """run_with_hooks with SAEs attached. Features are edited by ops.splice(sae, scale={feature: 0}) instead."""
        with self.saes(saes, reset_saes_end, use_error_term):
            return self.run_with_hooks(*model_args, **model_kwargs)

    def sae_names(self) -> dict[str, tuple[str, str]]:
        """Names of what can be cached of attached SAEs, as (hook point, what)."""
        return {f"{point}.{what}": (point, what) for point in self._saes for what in _PARTS}

    def splice_saes(self, scope: PlanScope) -> None:
        """Writes the attached SAEs into a plan."""
        for name, (sae, use_error_term) in self._saes.items():
            intervention = scope.plan.interventions.add(point=name, is_optional=True)
            intervention.splice.CopyFrom(pb.SpliceOp(dictionary=scope.dictionary(sae), use_error_term=use_error_term))

    def capture_sae(self, scope: PlanScope, name: str, where: pb.Selector) -> None:
        """Writes what is to be cached of an attached SAE into a plan."""
        point, what = self.sae_names()[name]
        capture = scope.plan.captures.add(point=point, name=name, before=what != "hook_sae_output", where=where)
        if _PARTS[what] is not None:
            capture.codes.CopyFrom(pb.CodesTransform(dictionary=scope.dictionary(self._saes[point][0]), part=_PARTS[what]))
