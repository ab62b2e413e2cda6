"""What a sweep replaces parts of activations with, and what edges left out of a circuit carry."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping

from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp._plan import PlanScope
from interopinterp.errors import InvalidArgumentError, unknown


@dataclasses.dataclass(frozen=True)
class Mean:
    """Means over a reference run; patching.mean makes it."""

    tokens: Any
    over_positions: bool = False


@dataclasses.dataclass(frozen=True)
class Resample:
    """Random rows of a reference run; patching.resample makes it."""

    tokens: Any
    seed: int = 0


def mean(tokens: Any, over_positions: bool = False) -> Mean:
    """The mean over the rows of a reference run, position by position (mean ablation; Wang et al. 2022).

    tokens          what the reference run reads: any number of rows, each as long as the sweep's; or of one length if positions are
                    averaged too
    over_positions  also over positions, so that every position gets the same
    """
    return Mean(tokens, over_positions)


def resample(tokens: Any, seed: int = 0) -> Resample:
    """For each row the activations of a random row of a reference run (resample ablation; Chan et al. 2022). A seed draws the same rows."""
    return Resample(tokens, seed)


@dataclasses.dataclass(frozen=True)
class Known:
    """Means or samples by hook point; patching.means and patching.samples make it."""

    values: Mapping[str, Any]
    seed: int | None = None


def means(given: Any) -> Known:
    """Means that are known already, over many texts (mean ablation): of a streams.StreamResult, or {hook point: [unit] or [pos, unit]}."""
    return Known(given.all("mean") if hasattr(given, "all") else dict(given))


def samples(given: Any, seed: int = 0) -> Known:
    """For each row and position one of some sampled activations (resample ablation). Points draw the same ones, so that what was sampled
    together stays together.

    given  a streams.StreamResult with streams.sample(count) at the points, or {hook point: [samples, unit]}
    """
    return Known(given.all("samples") if hasattr(given, "all") else dict(given), seed)


def run_plan(model: Any, loans: Any, plan: pb.Plan, tokens: Any) -> None:
    """Writes a run of other tokens into a request, with the hooks and SAEs that stay in the model."""
    given = tokens if isinstance(tokens, inputs.Input) else inputs.read(model, tokens)
    PlanScope(model, loans, plan).run(given).hooks(permanent_only=True)


def write(source: Any, model: Any, loans: Any, told: Any, run: pb.Plan, points: list[str], called: str = "source",
          reason: str = "SWEEP_SOURCE") -> None:
    """Writes a source into a sweep's or a circuit task's message.

    run             where that message keeps a run to take over from
    points          what is needed of a cache, of means and of samples
    called, reason  of what is no source
    """
    if isinstance(source, Mean):
        told.mean.over_positions = source.over_positions
        run_plan(model, loans, told.mean.reference, source.tokens)
    elif isinstance(source, Resample):
        told.resample.seed = source.seed
        run_plan(model, loans, told.resample.reference, source.tokens)
    elif isinstance(source, Known):
        into = told.means.activations if source.seed is None else told.samples.samples
        if source.seed is not None:
            told.samples.seed = source.seed
        for point in points:
            if point not in source.values:
                raise unknown("STREAM_LACKS_POINT", f"{'mean' if source.seed is None else 'sample'} of a stream:", point, source.values)
            into[point].CopyFrom(loans.tensor(source.values[point]))
    elif isinstance(source, str) and source == "zero":
        told.zero.SetInParent()
    elif hasattr(source, "cache_dict"):
        for point in points:
            told.cache.activations[point].CopyFrom(loans.tensor(source[point]))
    elif isinstance(source, Mapping):
        for point in points:
            if point not in source:
                raise unknown("CACHE_LACKS_ACTIVATION", "activation of the cache:", point, source)
            told.cache.activations[point].CopyFrom(loans.tensor(source[point]))
    elif source is None or callable(source):
        raise InvalidArgumentError(reason, f"The {called} is a {type(source).__name__}; a cache, what another run reads (tokens or texts), 'zero', "
                                   "patching.mean(tokens), patching.resample(tokens, seed), or patching.means or patching.samples of a "
                                   "stream is expected.")
    else:
        run_plan(model, loans, run, source)
