"""Your own classifier in PyTorch (``pip install 'jaxadv[torch]'``). Here it is a small convolutional one.

    python run.py evaluate --models=alexnet --model_module=flags/own_models/torch_module.py:convolutional --out=results/mine

Make and load your network as usual: ``network.load_state_dict(torch.load("mine.pth"))``. pure_jax.py
explains what a classifier is.
"""

import torch

import jaxadv

SIZE = 16


def convolutional():
    torch.manual_seed(0)  # for the same weights at each call; read yours from a file
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, stride=2, padding=1),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 10),
    )
    return jaxadv.from_torch(network.eval(), input_size=SIZE, mean=0.5, std=0.25, name="own_torch")
