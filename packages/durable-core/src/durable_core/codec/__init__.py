"""From objects to bytes and back: inputs, outputs and errors of executions."""

from ..failure import ErrorInfo
from .output import OutputCodec
from .serializer import Codec, JsonSerializer, Serializer, compressed
from .signature import InputCodec

__all__ = [
    "Codec",
    "ErrorInfo",
    "InputCodec",
    "JsonSerializer",
    "OutputCodec",
    "Serializer",
    "compressed",
]
