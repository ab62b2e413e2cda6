"""Where 2.x code imports the key-value cache from."""

from interopinterp.cache.key_value_cache import TransformerLensKeyValueCache

HookedTransformerKeyValueCache = TransformerLensKeyValueCache

__all__ = ["HookedTransformerKeyValueCache", "TransformerLensKeyValueCache"]
