"""States of torch's global random generators, which dropout draws from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of this process's generators, by kind of device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_generator_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Restore generator states; a generator without a state, of another kind of device, stays as it is."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])
