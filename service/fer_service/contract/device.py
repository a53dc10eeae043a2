"""The names of the devices that run the networks."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
