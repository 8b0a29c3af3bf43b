"""The optimiser of pre-training: SGD with the recipe's rates and weight decay (paper, section 4.1)."""

from __future__ import annotations

import torch
from torch import nn

from mas_train.recipe import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe, fused: bool = False) -> torch.optim.SGD:
    """Stochastic gradient descent with a group of weights for each rate and decay.

    A group's ``lr_scale`` multiplies the recipe's learning rate: 1, or `Recipe.bias_rate` for biases. `fused`
    takes torch's step in one pass over the weights, which rounds in another order.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            lr_scale = recipe.bias_rate if name == "bias" else 1.0
            decays = recipe.weight_decay_on == "all" or (isinstance(module, nn.Linear) and name == "weight")
            decay = recipe.weight_decay if decays else 0.0
            groups.setdefault((lr_scale, decay), []).append(weight)
    return torch.optim.SGD(
        [
            {
                "params": weights,
                "lr": recipe.learning_rate * lr_scale,
                "lr_scale": lr_scale,
                "weight_decay": decay,
            }
            for (lr_scale, decay), weights in groups.items()
        ],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        fused=fused or None,  # None: torch takes the fastest of its plain ways
    )
