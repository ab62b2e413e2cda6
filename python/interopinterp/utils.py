"""transformer_lens.utils: the helpers under their older name."""

from interopinterp.utilities import *  # noqa: F401,F403
from interopinterp.utilities import __all__  # noqa: F401
