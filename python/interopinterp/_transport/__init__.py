"""How a client reaches the engine: in this process, or over gRPC. Both carry the messages of protos/."""

from interopinterp._transport.base import Loans, Transport

__all__ = ["Loans", "Transport"]
