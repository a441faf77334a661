"""Converted pose networks: one small graph format, two runtimes (ONNX Runtime, torch), one numpy facade.

May import numpy, safetensors, backend.errors; onnx and onnxruntime in `onnx_build`, torch only in `torch_build`.
"""

from backend.networks.graph import NetworkGraph
from backend.networks.network import Network, RuntimeOptions, load_network
from backend.networks.weights_file import NETWORK_NAMES, read_network, weights_path

__all__ = [
    "NETWORK_NAMES",
    "Network",
    "NetworkGraph",
    "RuntimeOptions",
    "load_network",
    "read_network",
    "weights_path",
]
