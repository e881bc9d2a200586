"""The reference implementations of `cross_checks.py`, with weights that both sides are given.

No published backbone is needed: each reference network gets random weights, which are written as
the published file is and go through this project's own converter and loader.
"""

import contextlib
import importlib
import pathlib
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import scipy.linalg
import torch

from anon_jax.evaluation import feature_networks, lpips
from anon_jax.nets import alexnet, conversion, inception, squeezenet, vgg

_TENSORS = {
  'alex': ('alexnet', alexnet.TENSORS),
  'vgg': ('vgg16', vgg.TENSORS_16),
  'squeeze': ('squeezenet', squeezenet.TENSORS['torchvision']),
}
_OPERATORS = []


def reference(module: str) -> Any:
  """Imports a module that may need torchvision.

  torchvision's wheel on PyPI is built for CUDA. Beside the CPU build of torch its compiled
  operators do not load, and its import stops where it describes two of them. The references use
  none; so these two are declared, without a body.

  Raises:
    ModuleNotFoundError: it is not installed.
  """
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    try:
      importlib.import_module('torchvision')
    except RuntimeError:
      library = torch.library.Library('torchvision', 'FRAGMENT')
      for name in ('nms', 'qnms'):
        library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
      _OPERATORS.append(library)  # they are gone with it
    return importlib.import_module(module)


def lpips_pair(network: str, heads: pathlib.Path, folder: pathlib.Path) -> tuple[Any, Any, Any]:
  """Returns `lpips.LPIPS` of v0.1, our distance and its parameters, on the same random backbone.

  Args:
    network: 'alex', 'vgg' or 'squeeze'.
    heads: folder with our files of the linear heads; the reference reads those that it brings.
    folder: where the backbone's weights are written.
  """
  weights, shapes = _TENSORS[network]
  rng, state = np.random.default_rng(0), {}
  for name, shape in shapes.items():
    # keeps activations at one size through the network: with torch's own initial weights pictures
    # are all alike to the deep taps, and nothing would be compared
    spread = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
    state[name] = torch.from_numpy(rng.normal(0, spread, shape).astype(np.float32))
  torch.save(state, folder / f'{network}.pth')
  conversion.convert(weights, folder / f'{network}.pth', folder, allow_unknown=True)
  ours = lpips.load_lpips([folder, heads], network)
  package = reference('lpips')
  with warnings.catch_warnings():
    # it asks torchvision for an untrained network by an argument that has another name now
    warnings.filterwarnings('ignore', category=UserWarning, module='torchvision')
    theirs = package.LPIPS(net=network, version='0.1', pnet_rand=True, verbose=False)
  parts = {n: v for n, v in theirs.net.state_dict().items() if not n.startswith('lin')}
  # `slice2.3.weight` is `features.3.weight` of torchvision
  names = {n: f'features.{n.split(".", 1)[1]}' for n in parts}
  theirs.net.load_state_dict({n: state[names[n]] for n in parts})
  return theirs, *ours


def inception_pair(pictures: np.ndarray, folder: pathlib.Path) -> tuple[dict[str, Any], Any]:
  """Returns pytorch-fid's Inception for each of `inception.MODES`, and our parameters.

  For 'legacy_pytorch' it resizes by itself, as pytorch-fid uses it.

  The kernels are random; the norms are set on pictures, so that every layer's activations are
  spread as a trained network's are, and the features (.4 on average) differ between pictures.

  Args:
    pictures: float32 [b, 3, 299, 299] in [-1, 1].
    folder: where the weights are written.
  """
  module = reference('pytorch_fid.inception')
  rng, state = np.random.default_rng(0), {}
  for name, shape in inception.TENSORS.items():
    if len(shape) > 1:
      value = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    else:
      value = rng.uniform(0.6, 1.4, shape) if name.endswith(('weight', 'var')) else np.zeros(shape)
    state[name] = torch.from_numpy(value.astype(np.float32))
  state |= {'fc.weight': torch.zeros(1008, 2048), 'fc.bias': torch.zeros(1008)}
  with _downloads(module, state):
    net = module.fid_inception_v3()
  for part in net.modules():
    if isinstance(part, torch.nn.BatchNorm2d):
      part.momentum = 1.0  # what it saw last is all that it keeps
  with torch.no_grad():
    net.train()(torch.from_numpy(pictures))
  state = net.state_dict()
  torch.save(state, folder / 'inception.pth')
  conversion.convert('inception', folder / 'inception.pth', folder, allow_unknown=True)
  with _downloads(module, state):
    theirs = {
      mode: module.InceptionV3([3], resize_input=own, normalize_input=own).eval()
      for mode, own in (('clean', False), ('legacy_pytorch', True))
    }
  return theirs, feature_networks.load_feature_network('inception_clean', [folder])[1]


@contextlib.contextmanager
def _downloads(module: types.ModuleType, state: dict[str, Any]) -> Iterator[None]:
  """Lets a reference 'download' these weights; it knows no other way to be given some."""
  counters = {}
  for name in state:
    if name.endswith('running_var'):
      counters[name.replace('running_var', 'num_batches_tracked')] = torch.tensor(0)
  with mock.patch.object(module, 'load_state_dict_from_url', lambda *_, **__: counters | state):
    yield


@contextlib.contextmanager
def with_sqrtm(module: types.ModuleType) -> Iterator[None]:
  """Gives a reference the `scipy.linalg.sqrtm` that it was written for.

  Both tools pass `disp=False` and expect an error estimate beside the root; SciPy 1.17 warns of
  that argument and 1.18 will refuse it. The root itself is SciPy's.
  """

  def sqrtm(matrix: np.ndarray, disp: bool = True) -> Any:
    root = scipy.linalg.sqrtm(matrix)
    return root if disp else (root, 0.0)

  with mock.patch.object(module, 'linalg', types.SimpleNamespace(sqrtm=sqrtm)):
    yield


def missing() -> str:
  """Says which reference is not installed; '' if all are."""
  for name in ('cleanfid.fid', 'pytorch_fid.fid_score', 'lpips', 'skimage.metrics'):
    try:
      reference(name)
    except ModuleNotFoundError as error:
      return f'{error.name} is not installed (pip install anon-jax[crosscheck])'
  return ''


def versions() -> str:
  """Returns the versions of everything that is compared."""
  names = ('torch', 'torchvision', 'clean-fid', 'pytorch-fid', 'lpips', 'scikit-image', 'jax')
  found = [f'{name} {importlib.metadata.version(name)}' for name in names]
  return ', '.join([*found, f'Python {sys.version.split()[0]}'])
