"""TransformerLens 4's names for loading a model."""

from __future__ import annotations

from typing import Any

from interopinterp._names import refuse_unknown
from interopinterp.HookedTransformer import HookedTransformer

__all__ = ["TransformerBridge"]


class TransformerBridge(HookedTransformer):
    """A HookedTransformer that is booted instead of loaded: weights as they are, until enable_compatibility_mode processes them."""

    @classmethod
    def boot_transformers(
        cls, model_name: Any, device: Any = None, dtype: Any = "float32", tokenizer: Any = None, n_ctx: int | None = None, **others: Any
    ) -> Any:
        """Loads a model with its weights as they are: Hugging Face's numbers. See HookedTransformer.from_pretrained."""
        refuse_unknown("boot_transformers", others, ("model_name", "device", "dtype", "tokenizer", "n_ctx"))
        return cls.from_pretrained_no_processing(model_name, device=device, dtype=dtype, tokenizer=tokenizer, n_ctx=n_ctx)

    @classmethod
    def boot_native(cls, cfg: Any, tokenizer: Any = None) -> Any:
        """A model with random weights for a config."""
        return cls(cfg, tokenizer)

    def enable_compatibility_mode(
        self, disable_warnings: bool = False, no_processing: bool = False, fold_ln: bool = True, center_writing_weights: bool = True,
        center_unembed: bool = True, fold_value_biases: bool = True, refactor_factored_attn_matrices: bool = False,
    ) -> None:
        """Processes the weights as HookedTransformer.from_pretrained does; hook points have their 3.x names from the start."""
        if not no_processing:
            self.load_and_process_state_dict(
                self.state_dict(), fold_ln, center_writing_weights, center_unembed, fold_value_biases, refactor_factored_attn_matrices)
