"""Devices to plan for: how much they hold, how fast they compute and read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shosei.errors import InputError, nearest


@dataclass(frozen=True, slots=True)
class Device:
    """``memory`` in bytes, ``flops`` a second in dense bfloat16 products with float32 sums, ``bandwidth`` in bytes/s.

    ``source`` says whose figures they are.
    """

    name: str
    memory: int
    flops: float
    bandwidth: float
    source: str


# Peaks as their makers print them, without sparsity: half of what the datasheets of A100 to B200, L4 and L40S star.
DEVICES: dict[str, Device] = {
    device.name: device
    for device in [
        Device("A100", 80 * 10**9, 312e12, 2.039e12, "NVIDIA A100 Tensor Core GPU datasheet, 80 GB SXM"),
        Device("B200", 180 * 10**9, 2250e12, 7.7e12, "NVIDIA HGX B200 datasheet"),
        Device("H100", 80 * 10**9, 989e12, 3.35e12, "NVIDIA H100 Tensor Core GPU datasheet, SXM"),
        Device("H200", 141 * 10**9, 989e12, 4.8e12, "NVIDIA H200 Tensor Core GPU datasheet, SXM"),
        Device("L4", 24 * 10**9, 121e12, 0.3e12, "NVIDIA L4 Tensor Core GPU datasheet"),
        Device("L40S", 48 * 10**9, 362.05e12, 0.864e12, "NVIDIA L40S datasheet"),
        Device("MI300X", 192 * 10**9, 1307.4e12, 5.3e12, "AMD Instinct MI300X accelerator data sheet"),
        Device("RTX3090", 24 * 10**9, 71e12, 0.936e12, "NVIDIA Ampere GA102 GPU Architecture whitepaper, appendix A"),
        Device("RTX4090", 24 * 10**9, 165.2e12, 1.008e12, "NVIDIA Ada GPU Architecture whitepaper, appendix A"),
    ]
}


def parse_devices(text: str) -> tuple[int, Device]:
    """``8xH100`` or ``H100`` as how many of which. Raises InputError: malformed, or not in the table."""
    written = re.fullmatch(r"(?:([1-9]\d{0,5})x)?([a-z][a-z0-9]*)", text.strip(), re.IGNORECASE)
    if not written:
        raise InputError(f"--gpus {text}: write it as a number and a name, such as 8xH100", param="gpus")
    name = written[2].upper()
    if name not in DEVICES:
        raise InputError(f"--gpus {text}: unknown device '{written[2]}'{nearest(name, DEVICES)}", param="gpus")
    return int(written[1] or 1), DEVICES[name]
