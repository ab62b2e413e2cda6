"""Helpers of TransformerLens 3.x under their names."""

from interopinterp._arrays import to_numpy
from interopinterp.utilities.components_utils import get_act_name
from interopinterp.utilities.defaults_utils import USE_DEFAULT_VALUE, LocallyOverridenDefaults, override_or_use_default_value
from interopinterp.utilities.exploratory_utils import test_prompt
from interopinterp.utilities.lm_utils import lm_accuracy, lm_cross_entropy_loss
from interopinterp.utilities.logits_utils import logits_to_df, sample_logits
from interopinterp.utilities.matrix import composition_scores
from interopinterp.utilities.slice import Slice, SliceInput
from interopinterp.utilities.tensors import get_corner, is_lower_triangular, is_square, remove_batch_dim, transpose
from interopinterp.utilities.tokenize_utils import get_attention_mask, get_dataset, get_tokens_with_bos_removed, tokenize_and_concatenate

__all__ = [
    "USE_DEFAULT_VALUE", "LocallyOverridenDefaults", "Slice", "SliceInput", "composition_scores", "get_act_name", "get_attention_mask",
    "get_corner", "get_dataset", "get_tokens_with_bos_removed", "is_lower_triangular", "is_square", "lm_accuracy", "lm_cross_entropy_loss",
    "logits_to_df", "override_or_use_default_value", "remove_batch_dim", "sample_logits", "test_prompt", "to_numpy",
    "tokenize_and_concatenate", "transpose"]
