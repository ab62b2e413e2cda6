"""Edits of activations as data. They go wherever a hook function would, in process and over gRPC alike:

    model.run_with_hooks(tokens, fwd_hooks=[("blocks.1.attn.hook_z", ops.zero(heads=[1]))])

Every op takes the part it works on; what is left out is all of that axis:

    rows       rows of the batch
    pos        positions; in scores and patterns those that attend. Negative ones count from each row's own end
    heads      heads, at hook points that have them
    last       entries of the last axis: neurons, dimensions; in scores and patterns the positions attended to
    from_step, to_step   decode steps of a generation, to_step not included; 0 is the prompt

each as an int, a list, a slice, or (start, stop) as in TransformerLens's Slice. An op returns nothing and holds no state.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp import _selection as selection
from interopinterp.errors import InvalidArgumentError, unknown

__all__ = ["Op", "add", "feature", "mean", "noise", "patch", "project", "resample", "scale", "set", "splice", "steer", "zero"]
_WHERE = ("rows", "pos", "heads", "last", "from_step", "to_step")


@dataclasses.dataclass(frozen=True)
class Op:
    """An edit as data; the functions of this module make them.

    name    "zero", "patch", ...
    where   the part it works on
    values  what it works with
    """

    name: str
    where: dict[str, Any]
    values: dict[str, Any]

    def __post_init__(self):
        for name in self.where:
            if name not in _WHERE:
                raise unknown("UNKNOWN_SELECTOR", f"part of ops.{self.name}", name, _WHERE)

    def write(self, intervention: pb.Intervention, scope: Any) -> None:
        """Writes it into a request; scope lends tensors and adds source runs (interopinterp._plan.PlanScope)."""
        intervention.where.CopyFrom(selection.selector(**self.where))
        _WRITERS[self.name](self, intervention, scope)

    def __repr__(self) -> str:
        told = {**{k: v for k, v in self.values.items() if v is not None}, **self.where}
        parts = [f"{k}={list(v.shape) if hasattr(v, 'shape') else repr(v)}" for k, v in told.items()]
        return f"ops.{self.name}({', '.join(parts)})"


def zero(**where: Any) -> Op:
    """Zeros (zero ablation)."""
    return Op("zero", where, {})


def mean(source: Any, over_positions: bool = False, **where: Any) -> Op:
    """The mean of a reference run over its rows (mean ablation), and with over_positions over its positions too.

    source  the reference's text, texts or tokens
    """
    return Op("mean", where, {"source": source, "over_positions": over_positions})


def set(value: Any, **where: Any) -> Op:  # noqa: A001
    """A value, broadcast to the part [rows, positions, heads (where there are), last axis]."""
    return Op("set", where, {"value": _array("set", value)})


def patch(source: Any, point: str | None = None, source_pos: Any = None, source_heads: Any = None, **where: Any) -> Op:
    """The activation of another run (activation patching), row by row or from its only row.

    source                    text, texts or tokens to run; or an ActivationCache (or dict) that has the activation already
    point                     the hook point to take it from; None: the same
    source_pos, source_heads  positions and heads there; None: those of the target
    """
    return Op("patch", where, {"source": source, "point": point, "source_pos": source_pos, "source_heads": source_heads})


def add(value: Any, factor: float = 1.0, **where: Any) -> Op:
    """x + factor * value (steering), the value broadcast as by set."""
    return Op("add", where, {"value": _array("add", value), "factor": factor})


def scale(factor: float, **where: Any) -> Op:
    """factor * x."""
    return Op("scale", where, {"factor": factor})


def project(directions: Any, keep: bool = False, **where: Any) -> Op:
    """Without its part in the span of directions [count, last axis] (directional ablation), or with keep only that part."""
    return Op("project", where, {"directions": _array("project", directions), "keep": keep})


def splice(
    sae: Any, use_error_term: bool = False, clamp: dict[int, float] | None = None, scale: dict[int, float] | None = None, **where: Any
) -> Op:
    """An SAE's reconstruction in place of the activation; with use_error_term what it misses is added again.

    clamp, scale  codes to change before it decodes: feature -> value, feature -> factor (0 ablates)
    """
    return Op("splice", where, {"sae": sae, "use_error_term": use_error_term, "clamp": clamp or {}, "scale": scale or {}})


def feature(sae: Any, features: Any, clamp: float | None = None, scale: float | None = None, **where: Any) -> Op:
    """Some features of an SAE changed, everything else of the activation kept: set to clamp, or multiplied by scale (0 ablates)."""
    if (clamp is None) == (scale is None):
        raise InvalidArgumentError("FEATURE_EDIT", "ops.feature takes one of clamp (a value) and scale (a factor; 0 ablates).")
    return Op("feature", where, {"sae": sae, "features": np.atleast_1d(arrays.to_numpy(features)).tolist(), "clamp": clamp, "scale": scale})


def steer(sae: Any, feature: int, amount: float, **where: Any) -> Op:
    """x + amount * the feature's decoder direction."""
    return Op("steer", where, {"sae": sae, "feature": feature, "amount": amount})


def noise(deviation: float = 3.0, seed: int | None = None, absolute: bool = False, **where: Any) -> Op:
    """x + Gaussian noise, whose draws depend on the seed, the hook point, the row and the place in it alone.

    deviation  its standard deviation, in standard deviations of the entries of W_E (ROME corrupts subjects' embeddings with 3);
               with absolute in the activation's own units
    seed       None: the run's
    """
    return Op("noise", where, {"deviation": deviation, "seed": seed, "absolute": absolute})


def resample(samples: Any, seed: int | None = None, **where: Any) -> Op:
    """At each row and position one of some activations, drawn at random (resample ablation); the same draws at every point.

    samples  [samples, heads (where there are), last axis]: of a stream, result[point]["samples"]
    seed     None: the run's
    """
    return Op("resample", where, {"samples": _array("resample", samples), "seed": seed})


def _array(name: str, value: Any) -> Any:
    array = value if arrays.is_array(value) else np.asarray(value, dtype=np.float32)
    if not arrays.is_torch(array) and np.asarray(array).dtype.kind not in "fiub":
        raise InvalidArgumentError("VALUE_TYPE", f"ops.{name} takes numbers; {type(value).__name__} is none.")
    return array


def _write_value(op: Op, intervention: pb.Intervention, scope: Any) -> None:
    getattr(intervention, op.name).value.CopyFrom(scope.loans.tensor(op.values["value"]))
    if op.name == "add":
        intervention.add.factor = op.values["factor"]


def _write_mean(op: Op, intervention: pb.Intervention, scope: Any) -> None:
    intervention.mean.source = scope.source(op.values["source"])
    intervention.mean.over_positions = op.values["over_positions"]


def _write_patch(op: Op, intervention: pb.Intervention, scope: Any) -> None:
    source, point = op.values["source"], op.values["point"]
    if hasattr(source, "keys"):
        name = point or intervention.point
        own = {"pos": op.values["source_pos"], "heads": op.values["source_heads"]}
        part = {axis: own.get(axis) if own.get(axis) is not None else op.where.get(axis) for axis in ("rows", "pos", "heads", "last")}
        intervention.set.value.CopyFrom(scope.loans.tensor(selection.region(arrays.to_numpy(source[name]), name, **part)))
        return
    intervention.patch_from.source = scope.source(source)
    intervention.patch_from.point = point or ""
    for field in ("positions", "heads"):
        value = selection.positions(op.values["source_pos" if field == "positions" else "source_heads"])
        if value is not None:
            getattr(intervention.patch_from, field).CopyFrom(value)


def _write_project(op: Op, intervention: pb.Intervention, scope: Any) -> None:
    directions = op.values["directions"]
    intervention.project.directions.CopyFrom(scope.loans.tensor(directions[None] if directions.ndim == 1 else directions))
    intervention.project.keep = op.values["keep"]


def _write_splice(op: Op, intervention: pb.Intervention, scope: Any) -> None:
    intervention.splice.dictionary = scope.dictionary(op.values["sae"])
    intervention.splice.use_error_term = op.values["use_error_term"]
    for kind in ("clamp", "scale"):
        for feature, value in op.values[kind].items():
            intervention.splice.edits.add(features=[feature], **{kind: value})


def _write_feature(op: Op, intervention: pb.Intervention, scope: Any) -> None:
    values = op.values
    intervention.feature.dictionary = scope.dictionary(values["sae"])
    intervention.feature.features.extend(values["features"])
    edit = "clamp" if values["clamp"] is not None else "scale"
    setattr(intervention.feature, edit, values[edit])


def _write_noise(op: Op, intervention: pb.Intervention, scope: Any) -> None:
    values = op.values
    intervention.noise.CopyFrom(pb.NoiseOp(deviation=values["deviation"], is_absolute=values["absolute"], seed=values["seed"]))


def _write_resample(op: Op, intervention: pb.Intervention, scope: Any) -> None:
    intervention.resample.samples.CopyFrom(scope.loans.tensor(op.values["samples"]))
    if op.values["seed"] is not None:
        intervention.resample.seed = op.values["seed"]


_WRITERS = {
    "zero": lambda op, intervention, scope: intervention.zero.CopyFrom(pb.ZeroOp()),
    "scale": lambda op, intervention, scope: intervention.scale.CopyFrom(pb.ScaleOp(factor=op.values["factor"])),
    "set": _write_value, "add": _write_value, "mean": _write_mean, "patch": _write_patch, "project": _write_project,
    "splice": _write_splice, "feature": _write_feature, "noise": _write_noise, "resample": _write_resample,
    "steer": lambda op, intervention, scope: intervention.steer.CopyFrom(
        pb.SteerOp(dictionary=scope.dictionary(op.values["sae"]), feature=op.values["feature"], amount=op.values["amount"]))}
