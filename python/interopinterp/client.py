"""Where the engine is: in this process, or on a server. The classes are the same on both."""

from __future__ import annotations

import threading
from typing import Any

from interopinterp import _pb as pb
from interopinterp._transport import Transport
from interopinterp.HookedTransformer import HookedTransformer
from interopinterp.model_bridge import TransformerBridge
from interopinterp.sae import SAE

_lock = threading.Lock()
_local: "Client | None" = None


class Client:
    """An engine, and classes that use it: client.HookedTransformer.from_pretrained(...), client.SAE.load_from_disk(...).

    door  how it is reached: "hostfxr" or "pythonnet" in this process, or a server's address
    """

    def __init__(self, transport: Transport):
        self.transport = transport
        self.door = transport.door
        self.HookedTransformer = self._bound(HookedTransformer)
        self.HookedSAETransformer = self.HookedTransformer
        self.TransformerBridge = self._bound(TransformerBridge)
        self.SAE = self._bound(SAE)

    def info(self) -> pb.GetServerInfoResponse:
        """Version, protocol revision, capabilities, devices, libtorch, memory limit."""
        return self.transport.call(pb.GetServerInfoRequest())

    def models(self) -> list[pb.Model]:
        """The models that this client holds."""
        found, token = [], ""
        while True:
            page = self.transport.call(pb.ListModelsRequest(page_token=token))
            found += page.models
            token = page.next_page_token
            if not token:
                return found

    def close(self) -> None:
        """Ends the connection, and what this client holds on the server."""
        self.transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.door})"

    def _bound(self, cls: type) -> type:
        return type(cls.__name__, (cls,),
                    {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__, "_client": self})


def connect(address: str, token: str | None = None, credentials: Any = None, timeout: float | None = None) -> Client:
    """A client of a server. Paths of models are the server's, below its model roots.

    address      grpc://host:port, grpcs://host:port (TLS), or unix:///path
    token        a bearer token, for servers that ask for one
    credentials  grpc.ChannelCredentials: certificates of one's own
    timeout      seconds after which a call is given up; None: never
    Raises UNKNOWN_ADDRESS; a server that is not there is told at the first call, which is made here.
    """
    from interopinterp._transport.remote import Grpc

    client = Client(Grpc(address, token, credentials, timeout))
    client.info()
    return client


def local() -> Client:
    """The engine in this process, started at the first call; local().door says through which loader."""
    global _local
    with _lock:
        if _local is None:
            from interopinterp._transport.inproc import InProcess

            _local = Client(InProcess())
        return _local
