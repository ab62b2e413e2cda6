"""Analyses that stay in the engine from tokens to numbers, under TransformerLens 4's names."""

from interopinterp._patching.attribution import attribution_patch, attribution_patch_edges
from interopinterp._patching.paths import get_act_patch_direct_path, get_act_patch_direct_path_all_sources, path_patch
from interopinterp.tools.analysis.lens import LogitLensResult, logit_lens
from interopinterp.tools.analysis.logit_attribution import DirectLogitAttribution, direct_logit_attribution
from interopinterp.tools.analysis.tuned_lens import TunedLens, train_tuned_lens

__all__ = [
    "DirectLogitAttribution", "LogitLensResult", "TunedLens", "attribution_patch", "attribution_patch_edges", "direct_logit_attribution",
    "get_act_patch_direct_path", "get_act_patch_direct_path_all_sources", "logit_lens", "path_patch",
    "train_tuned_lens"]
