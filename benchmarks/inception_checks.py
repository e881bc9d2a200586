"""Resizing, Inception features and the distances on them, against clean-fid and pytorch-fid."""

import contextlib
import io
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from PIL import Image
from real_pictures import picture_files, read
from reference_networks import inception_pair, reference, with_sqrtm

from anon_jax.evaluation import frechet, kernel_distance
from anon_jax.nets import inception

_BATCH = 16


class Row(NamedTuple):
  """One comparison: what, with what, how far off, and how far off it may be."""

  what: str
  reference: str
  error: float
  bar: float


def resizing(data: pathlib.Path) -> list[Row]:
  """Our resizing of 'clean' against clean-fid's, in levels of 0 ... 255."""
  sizes = ((64, 64), (256, 200), (299, 299), (511, 640), (1024, 1024))
  resize, worst = reference('cleanfid.resize').build_resizer('clean'), 0.0
  for (width, height), file in zip(sizes, picture_files(data)[0], strict=False):
    picture = np.asarray(Image.open(file).convert('RGB').resize((width, height)))
    ours = inception.preprocess(jnp.asarray(picture[None] / np.float32(127.5) - 1), 'clean')
    worst = max(worst, float(np.abs(np.asarray(ours[0]) * 128 + 128 - resize(picture)).max()))
  return [Row('resizing to 299 px, `clean`: max abs, 0..255', 'clean-fid', worst, 1e-2)]


class Features(NamedTuple):
  """Features of two sets by both sides, each a list of float32 [n, 2048]."""

  ours: list[np.ndarray]
  theirs: list[np.ndarray]


def inception_features(
  data: pathlib.Path, folder: pathlib.Path, counts: dict[str, int]
) -> dict[str, Features]:
  """Lets both sides read, resize and look at the same files through the same Inception.

  Args:
    data: the real pictures.
    folder: where the network's weights are written.
    counts: mode -> pictures of each of the two sets.
  """
  some = inception.preprocess(jnp.asarray(read(picture_files(data)[0][:8])), 'clean')
  theirs, params = inception_pair(np.array(some).transpose(0, 3, 1, 2), folder)
  run, found = jax.jit(inception.Inception().apply), {}
  for mode, count in counts.items():
    sets, mine = [files[:count] for files in picture_files(data)], []
    for files in sets:
      parts = [
        # as `FeatureNetwork.features`, except that both modes share one compiled network
        run({'params': params}, inception.preprocess(jnp.asarray(read(files[i : i + 8])), mode))
        for i in range(0, count, 8)
      ]
      mine.append(np.concatenate(parts))
    found[mode] = Features(mine, [_reference_features(mode, theirs[mode], files) for files in sets])
  return found


def _reference_features(mode: str, net: Any, files: list[str]) -> np.ndarray:
  with contextlib.redirect_stderr(io.StringIO()):  # progress bars
    if mode == 'legacy_pytorch':
      return reference('pytorch_fid.fid_score').get_activations(files, net, _BATCH, num_workers=0)

    def model(x: torch.Tensor) -> torch.Tensor:  # as clean-fid calls its own copy of the network
      return net((x - 128) / 128)[0][..., 0, 0]

    return reference('cleanfid.fid').get_files_features(
      files, model, num_workers=0, batch_size=_BATCH, device='cpu', verbose=False
    )


def statistics(features: np.ndarray) -> frechet.Statistics:
  """Ours, of a set of features."""
  moments = frechet.Moments.empty(features.shape[1])
  moments.add(features)
  return moments.statistics()


def reference_frechet(mode: str, sides: Sequence[np.ndarray]) -> float:
  """Frechet distance of two sets of features by clean-fid's or pytorch-fid's own function.

  Both sets are turned into the space that they span, where the distance is the same: the root of
  2,048 x 2,048 numbers takes a minute, and it is singular with fewer pictures than dimensions.
  """
  a, b = _turned(sides)
  tool = reference('cleanfid.fid' if mode == 'clean' else 'pytorch_fid.fid_score')
  function = tool.frechet_distance if mode == 'clean' else tool.calculate_frechet_distance
  with with_sqrtm(tool):
    return float(function(a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T)))


def _turned(sides: Sequence[np.ndarray]) -> list[np.ndarray]:
  basis = np.linalg.qr(np.concatenate(sides).astype(np.float64).T)[0]
  return [side.astype(np.float64) @ basis for side in sides]


def inception_rows(mode: str, features: Features, whole: bool = True) -> list[Row]:
  """Features, Frechet and kernel distance, each side on its own features.

  Args:
    mode: of the features.
    features: of both sides.
    whole: whether our Frechet distances are taken in all 2,048 dimensions, which takes seconds, or
      in those that the pictures span.
  """
  tool = 'clean-fid' if mode == 'clean' else 'pytorch-fid'
  errors = np.abs(np.concatenate(features.ours) - np.concatenate(features.theirs))
  sides = features.ours if whole else _turned(features.ours)
  a, b = (statistics(side) for side in sides)
  ours, theirs = frechet.frechet_distance(a, b), reference_frechet(mode, features.theirs)
  kernel = kernel_distance.kernel_distance(*features.ours)
  # with subsets of everything, nothing is left to chance
  wide = [side.astype(np.float64) for side in features.theirs]
  wanted = reference('cleanfid.fid').kernel_distance(*wide, num_subsets=1)
  what = f'Inception features of {len(errors)} files, `{mode}`'
  return [
    Row(f'{what}: mean abs', tool, float(errors.mean()), 1e-5),
    Row(f'{what}: max abs', tool, float(errors.max()), 1e-3),
    Row(f'Frechet distance ({theirs:.4g}), `{mode}`: relative', tool, _apart(ours, theirs), 1e-3),
    Row(f'kernel distance ({wanted:.3g}), `{mode}`: relative', tool, _apart(kernel, wanted), 1e-3),
  ]


def own_rows(features: Features) -> list[Row]:
  """What needs no reference: from itself, in another order, and in another order from others."""
  a, b = (statistics(side) for side in features.ours)
  other = statistics(features.ours[0][::-1])
  first, again = (frechet.frechet_distance(side, b) for side in (a, other))
  return [
    Row('Frechet distance from itself', '0', frechet.frechet_distance(a, a), 1e-6),
    Row('Frechet distance, files in another order: relative', '0', _apart(again, first), 1e-4),
  ]


def _apart(found: float, wanted: float) -> float:
  return abs(found / wanted - 1)
