"""Networks: backbones and heads; targets and loss."""
