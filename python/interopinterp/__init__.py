"""InteropInterp: look inside transformers, and change them.

    import interopinterp
    model = interopinterp.HookedTransformer.from_pretrained("path/to/model")      # in this process
    client = interopinterp.connect("grpc://host:port")                            # the same classes on a server
    model = client.HookedTransformer.from_pretrained("name/below/its/roots")

Classes, names and signatures are those of TransformerLens 3.x, so `import interopinterp as tl` serves code written for it.
"""

from interopinterp import errors, metrics, ops, utilities  # noqa: F401
from interopinterp._arrays import results_as
# Modules and classes share names, as in TransformerLens: the module is imported once, then the name is the class.
from interopinterp.ActivationCache import ActivationCache
from interopinterp.cache.key_value_cache import TransformerLensKeyValueCache
from interopinterp.config import HookedTransformerConfig
from interopinterp.errors import InterpError, InterpWarning
from interopinterp.FactoredMatrix import FactoredMatrix
from interopinterp.HookedRootModule import HookedRootModule
from interopinterp.HookedTransformer import HookedTransformer
from interopinterp.client import Client, connect, local
from interopinterp.model_bridge import TransformerBridge
from interopinterp.sae import SAE
from interopinterp.SVDInterpreter import SVDInterpreter
from interopinterp import circuits, evals, head_detector, heads, hook_points, neurons, patching, streams, tools, utils, views  # noqa: F401,E402

__all__ = [
    "ActivationCache", "Client", "FactoredMatrix", "HookedRootModule", "HookedTransformer", "HookedTransformerConfig", "InterpError",
    "InterpWarning", "SAE", "SVDInterpreter", "TransformerBridge", "TransformerLensKeyValueCache", "__version__", "circuits", "connect",
    "errors", "evals", "head_detector", "heads", "hook_points", "local", "metrics", "neurons", "ops", "patching", "results_as",
    "streams", "tools", "utilities", "utils", "views"]
__version__ = "0.1.0"
