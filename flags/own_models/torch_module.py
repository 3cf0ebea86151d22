"""A classifier of your own in PyTorch (``pip install 'jaxadv[torch]'``): here a small convolutional one.

    python run.py evaluate --models=alexnet,torch:flags/own_models/torch_module.py:module --out=results/mine
    python run.py evaluate --models=alexnet --model_module=flags/own_models/torch_module.py:convolutional --out=results/mine

Yours is made and loaded as you do it elsewhere: ``network.load_state_dict(torch.load("mine.pth"))``. See pure_jax.py
for what a classifier is.
"""

import torch

import jaxadv

SIZE = 16


def module():
    """For torch:FILE.py:FUNCTION: the network, and what it does not tell itself."""
    torch.manual_seed(0)  # the same weights at each call; yours are read from a file
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, stride=2, padding=1),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 10),
    )
    return network.eval(), {"input_size": SIZE, "mean": 0.5, "std": 0.25}


def convolutional():
    """For --model_module: a classifier."""
    network, settings = module()
    return jaxadv.from_torch(network, **settings, name="own_torch")
