"""Model configurations."""

from interopinterp.config.hooked_transformer_config import HookedTransformerConfig

__all__ = ["HookedTransformerConfig"]
