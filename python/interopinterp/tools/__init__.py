"""Tools on top of models, in the places where TransformerLens 4 has them."""

from interopinterp.tools import analysis  # noqa: F401
