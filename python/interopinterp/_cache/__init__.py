"""What a cache can say of the residual stream: TransformerLens 3.9's ActivationCache methods."""

from interopinterp._cache.heads import Heads
from interopinterp._cache.neurons import Neurons
from interopinterp._cache.residual import Residual

__all__ = ["Heads", "Neurons", "Residual"]
