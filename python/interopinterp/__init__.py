"""InteropInterp: look inside transformers, and change them."""

from interopinterp.errors import InterpError

__all__ = ["InterpError", "__version__"]
__version__ = "0.1.0"
