"""Where 2.x code imports the config from."""

from interopinterp.config.hooked_transformer_config import HookedTransformerConfig

__all__ = ["HookedTransformerConfig"]
