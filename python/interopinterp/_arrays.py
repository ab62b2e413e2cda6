"""numpy arrays, and torch tensors over the same memory where the user has imported torch. This package never imports torch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from interopinterp import _pb as pb
from interopinterp.errors import InvalidArgumentError, unknown

# Names are those of numpy and torch alike; bfloat16 is torch's alone.
DATA_TYPES = {
    "float32": pb.DATA_TYPE_FLOAT32, "float64": pb.DATA_TYPE_FLOAT64, "float16": pb.DATA_TYPE_FLOAT16, "bfloat16": pb.DATA_TYPE_BFLOAT16,
    "int64": pb.DATA_TYPE_INT64, "int32": pb.DATA_TYPE_INT32, "int16": pb.DATA_TYPE_INT16, "int8": pb.DATA_TYPE_INT8,
    "uint8": pb.DATA_TYPE_UINT8, "bool": pb.DATA_TYPE_BOOL}
NAMES = {value: name for name, value in DATA_TYPES.items()}
_wanted = "auto"


def results_as(library: str) -> None:
    """Which library's arrays results are: "numpy", "torch" (import it first), or "auto": torch once the user has imported it."""
    global _wanted
    if library not in ("auto", "numpy", "torch"):
        raise unknown("UNKNOWN_LIBRARY", "array library", library, ("auto", "numpy", "torch"))
    if library == "torch" and not hasattr(sys.modules.get("torch"), "Tensor"):
        raise InvalidArgumentError("TORCH_NOT_IMPORTED", "Results can be torch tensors once torch is imported: import torch first.")
    _wanted = library


def torch() -> Any:
    """The torch that the user has imported, if results are to be its tensors; else None."""
    module = sys.modules.get("torch")
    return module if _wanted != "numpy" and hasattr(module, "Tensor") and hasattr(module, "from_dlpack") else None


def is_torch(value: Any) -> bool:
    """Whether a value is a torch tensor."""
    module = sys.modules.get("torch")
    return hasattr(module, "Tensor") and isinstance(value, module.Tensor)


def is_array(value: Any) -> bool:
    """Whether a value is an array of some kind: numpy's, torch's, or one on a server."""
    return isinstance(value, (np.ndarray, np.generic)) or is_torch(value) or hasattr(value, "__array__")


def to_numpy(value: Any) -> np.ndarray:
    """A value as a numpy array: of a CPU tensor the same memory, of a tensor elsewhere a copy."""
    if is_torch(value):
        if value.device.type == "meta":
            raise InvalidArgumentError("TENSOR_HAS_NO_DATA", "The tensor is on torch's meta device: it has a shape but no values.")
        value = value.detach().cpu()
        return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    return np.asarray(value)


def from_numpy(array: np.ndarray) -> Any:
    """A result: the array itself, or a torch tensor over its memory."""
    module = torch()
    return array if module is None else module.from_numpy(array)


def like(array: np.ndarray, model: Any) -> Any:
    """An array in the library of another value."""
    return sys.modules["torch"].from_numpy(array) if is_torch(model) else array


def stack(values: list) -> Any:
    """Stacks results along a new first axis."""
    return sys.modules["torch"].stack(values) if is_torch(values[0]) else np.stack([np.asarray(v) for v in values])


def dtype_name(dtype: Any) -> str:
    """The name of a numpy dtype, a torch dtype or a name: "float32"."""
    name = dtype if isinstance(dtype, str) else str(dtype) if str(dtype).startswith("torch.") else np.dtype(dtype).name
    name = name.removeprefix("torch.")
    if name not in DATA_TYPES:
        raise unknown("UNKNOWN_DTYPE", "dtype", name, DATA_TYPES)
    return name


def native_dtype(name: str) -> Any:
    """A dtype by its name: torch's where the user has imported it, else numpy's (of bfloat16, which numpy lacks, the name)."""
    module = torch()
    if module is not None:
        return getattr(module, name)
    return name if name == "bfloat16" else np.dtype(name)


def widen(bits: np.ndarray) -> np.ndarray:
    """The bits of bfloat16 numbers as float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
