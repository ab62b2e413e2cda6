"""Key-value caches."""

from interopinterp.cache.key_value_cache import TransformerLensKeyValueCache

__all__ = ["TransformerLensKeyValueCache"]
