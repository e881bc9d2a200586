"""Turns published PyTorch weights into the safetensors files that this project reads."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anon_jax.nets import (
  alexnet,
  calibration,
  frozen,
  inception,
  inception_resnet,
  squeezenet,
  vgg,
)
from anon_jax.nets.frozen import WeightsError
from anon_jax.nets.torch_file import read_tensors


class _Source(NamedTuple):
  """What a published file holds; the facts that its conversion records.

  Attributes:
    tensors: name -> shape of what is converted.
    skip: chooses the names that the file may hold besides.
    layout: whose names the tensors have; kernels are OIHW.
    preprocessing: of the network's input.
  """

  tensors: Mapping[str, tuple[int, ...]]
  skip: Callable[[str], bool]
  layout: str
  preprocessing: str


def _torchvision(tensors: Mapping[str, tuple[int, ...]]) -> _Source:
  return _Source(
    tensors,
    lambda name: name.startswith('classifier.'),
    'torchvision',
    squeezenet.PREPROCESSING['torchvision'],
  )


_FACENET = _Source(
  inception_resnet.TENSORS, inception_resnet.skipped, 'facenet-pytorch', 'rgb_127.5_over_128'
)
_SOURCES = {
  'alexnet': _torchvision(alexnet.TENSORS),
  'vgg16': _torchvision(vgg.TENSORS_16),
  'vgg19': _torchvision(vgg.TENSORS),
  'squeezenet': _torchvision(squeezenet.TENSORS['torchvision']),
  'facenet_vggface2': _FACENET,
  'facenet_casia': _FACENET,
  'inception': _Source(
    inception.TENSORS, inception.skipped, 'pytorch-fid', 'inception.preprocess, by mode'
  ),
}


def convert(
  network: str, source: str | Path, folder: str | Path, allow_unknown: bool = False
) -> Path:
  """Converts published weights; writes `folder`/NAME.safetensors and NAME.json beside it.

  The classifier is left out. An older conversion in `folder` is replaced; on any error the folder
  is as it was, or holds a pair that `frozen.load_tensors` refuses by its hash.

  Args:
    network: a key of `frozen.PUBLISHED`.
    source: the `.pth` or `.pt` file of `frozen.PUBLISHED`, in either format of `torch.save`.
    folder: where to write; made if it does not exist.
    allow_unknown: converts a source whose hash is not the published one, or where that is not
      known (own weights of the same network, with the published preprocessing).

  Returns:
    The path of the safetensors file.

  Raises:
    ValueError: unknown network.
    WeightsError: unreadable source, another hash, other tensors than the network's, or a folder
      that cannot be written.
  """
  entry = frozen.published(network)
  source, folder = Path(source), Path(folder)
  if not source.is_file():
    raise WeightsError(f'{source} is not a file; download {entry.source} from {entry.url}.')
  source_hash = frozen.sha256_of(source)
  known = bool(entry.sha256_prefix) and source_hash.startswith(entry.sha256_prefix)
  if not known and not allow_unknown:
    raise WeightsError(_unknown(source, source_hash, entry))
  kind = _SOURCES[network]
  tensors = read_tensors(source, kind.tensors, kind.skip)
  broken = sorted(name for name, value in tensors.items() if not np.isfinite(value).all())
  if broken:
    raise WeightsError(f'{source} holds NaN or infinity in {broken}.')
  facts = {
    'network': network,
    'layout': kind.layout,
    'preprocessing': kind.preprocessing,
    'source': source.name,
    'source_sha256': source_hash,
  }
  if network == 'squeezenet':
    facts['tap_magnitudes'] = _tap_magnitudes(source, tensors)
  return _write(folder, entry, known, facts, tensors)


def _unknown(source: Path, source_hash: str, entry: frozen.Published) -> str:
  has = f'{source} has SHA-256 {source_hash}, but'
  if not entry.sha256_prefix:
    return (
      f'{has} none is known of the published {entry.source}: make sure that it comes from '
      f'{entry.url}, and pass --allow-unknown.'
    )
  return (
    f'{has} the published {entry.source} starts with {entry.sha256_prefix}: download it again '
    f'from {entry.url}, or pass --allow-unknown.'
  )


def _tap_magnitudes(source: Path, tensors: dict[str, np.ndarray]) -> str:
  params = squeezenet.params_from(tensors, 'torchvision')
  magnitudes = calibration.tap_magnitudes(squeezenet.SqueezeNet(layout='torchvision'), params)
  if not all(0 < magnitude < float('inf') for magnitude in magnitudes):
    raise WeightsError(f'{source}: the mean activations {magnitudes} are no trained network.')
  # three digits: enough for a loss weight, and the same on every machine
  return ' '.join(f'{magnitude:.3g}' for magnitude in magnitudes)


def _write(
  folder: Path,
  entry: frozen.Published,
  known: bool,
  facts: dict[str, str],
  tensors: dict[str, np.ndarray],
) -> Path:
  path = folder / entry.file
  content = frozen.serialize(tensors, facts)
  description = {
    'file': entry.file,
    **facts,
    'source_url': entry.url + entry.source,
    'source_is_published': known,
    'sha256': hashlib.sha256(content).hexdigest(),
    'tensors': {name: list(tensor.shape) for name, tensor in sorted(tensors.items())},
  }
  text = json.dumps(description, indent=1) + '\n'
  try:
    folder.mkdir(parents=True, exist_ok=True)
    frozen.write_pair(path, content, path.with_suffix('.json'), text.encode())
  except OSError as error:
    raise WeightsError(f'Cannot write {path}: {error.strerror}.') from None
  return path
