"""Ways to take the behaviour away from a run, so that what patching restores of it can be seen."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterable, Mapping

from interopinterp import _pb as pb
from interopinterp import _selection as selection
from interopinterp._patching import sources
from interopinterp.errors import InvalidArgumentError
from interopinterp.metrics import token_ids


@dataclasses.dataclass(frozen=True)
class SwapTokens:
    """Symmetric token replacement; patching.swap_tokens makes it."""

    pairs: list[tuple[Any, Any]]
    pos: Any = None


@dataclasses.dataclass(frozen=True)
class GaussianNoise:
    """Noise on embeddings; patching.gaussian_noise makes it."""

    deviation: float
    seed: int
    where: dict[str, Any]


def swap_tokens(pairs: Iterable[tuple[Any, Any]], pos: Any = None) -> SwapTokens:
    """Symmetric token replacement (Zhang and Nanda 2024): the tokens of each pair change places wherever they stand.

    pairs  of token ids or texts of one token, [(" John", " Mary")]; no token in two of them. Every row must have one of them
    pos    at these positions only
    """
    return SwapTokens(list(pairs), pos)


def gaussian_noise(deviation: float = 3.0, seed: int = 0, pos: Any = None, rows: Any = None) -> GaussianNoise:
    """Gaussian noise on the embeddings of some tokens (ROME's causal tracing; Meng et al. 2022).

    deviation  in standard deviations of the entries of W_E
    seed       one draw; several corruptions of other seeds are several draws
    pos, rows  the tokens that are corrupted: the subject's
    """
    return GaussianNoise(deviation, seed, {"pos": pos, "rows": rows})


def write(corruptions: Any, model: Any, loans: Any, told: pb.CorruptionSource) -> None:
    """Writes corruptions into a sweep: {name: corruption}, or one, which is then called "corrupted"."""
    given = corruptions if isinstance(corruptions, Mapping) else {"corrupted": corruptions}
    for name, corruption in given.items():
        message = told.corruptions.add(name=name)
        if isinstance(corruption, SwapTokens):
            for pair in corruption.pairs:
                ids = token_ids(model, list(pair))
                if len(ids) != 2:
                    raise InvalidArgumentError("TOKEN_PAIR", f"The pair {pair!r} has {len(ids)} tokens; 2 change places.")
                message.tokens.pairs.add(first=ids[0], second=ids[1])
            message.tokens.where.CopyFrom(selection.positions(corruption.pos) or pb.Positions(slice=pb.Slice()))
        elif isinstance(corruption, GaussianNoise):
            message.noise.CopyFrom(pb.GaussianNoise(
                where=selection.selector(**corruption.where), deviation=corruption.deviation, seed=corruption.seed))
        elif corruption is None or callable(corruption):
            raise InvalidArgumentError("SWEEP_SOURCE", f"Corruption {name!r} is a {type(corruption).__name__}; what the corrupted run reads "
                                       "(tokens or texts), patching.swap_tokens(pairs) or patching.gaussian_noise(pos=...) is expected.")
        else:
            sources.run_plan(model, loans, message.run, corruption)
