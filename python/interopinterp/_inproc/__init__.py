"""The engine inside this process.

    client = interopinterp._inproc.client()
    client.door                         "hostfxr" or "pythonnet": which loader brought .NET here
    client.call(method, payload)        bytes to bytes; payloads are the messages of protos/
    client.export(handle)               a tensor as a numpy array, without a copy
    client.dlpack(handle)               the same for torch.from_dlpack
    client.put(array)                   a handle to a tensor over an array's memory, without a copy where possible
    client.release(handle)              lets a tensor go; safe in destructors, on any thread
    client.callback(function)           a number under which methods call function(bytes) -> bytes, on the caller's thread
    client.forget(number)               the end of that

Errors are interopinterp.errors.InterpError; what a callback raises comes out of call() as itself. Ctrl-C works in a long call.
After a fork the child's client refuses everything: .NET does not survive a fork.
"""

from interopinterp._inproc.chooser import client
from interopinterp._inproc.client import Client

__all__ = ["Client", "client"]
