"""Circuits: found, judged, and read off weights.

    found = circuits.acdc(model, clean, corrupted, metrics.kl_divergence(model(clean)), threshold=0.01)
    circuits.evaluate(model, found.circuit, clean, patching.mean(others), metric)[0].recovered
    ranked = patching.attribution_patch_edges(model, clean, corrupted, metric)
    circuits.confirm(model, clean, corrupted, {f"{n} edges": ranked.circuit(n) for n in (10, 30, 100)}, metric).pareto()
    found.circuit.save("circuit.json")                                     # EAP-IG's layout

What is computed from weights alone never makes anything of vocabulary by vocabulary:

    circuits.eigenvalues(model).copying; circuits.composition(model, "K").excess().top(5)
"""

from interopinterp._circuits.composition import (
    CompositionScores, Eigenvalues, VirtualHead, composition, eigenvalues, top_entries, virtual_head)
from interopinterp._circuits.evaluation import (
    CircuitPerformance, Evaluation, FoundCircuit, Knockout, acdc, completeness, confirm, evaluate, minimality)
from interopinterp._circuits.graph import Circuit, ResidualGraph
from interopinterp._circuits.tokens import SkipTrigram, TermImportance, bigrams, skip_trigrams, term_importance

__all__ = [
    "Circuit", "CircuitPerformance", "CompositionScores", "Eigenvalues", "Evaluation", "FoundCircuit", "Knockout", "ResidualGraph",
    "SkipTrigram", "TermImportance", "VirtualHead", "acdc", "bigrams", "completeness", "composition", "confirm", "eigenvalues", "evaluate",
    "minimality", "skip_trigrams", "term_importance", "top_entries", "virtual_head"]
