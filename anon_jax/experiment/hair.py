"""Where the hair of control identities is, measured once at the beginning of a run."""

import pathlib
import sys
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from anon_jax.config import bodies
from anon_jax.data import hair, pipeline
from anon_jax.data.identity_batches import IdentitySource
from anon_jax.inference.inputs import FACE_SHARE
from anon_jax.telemetry import write_whole

_SIDE = 96
_PICTURES = 16  # of an identity are looked at, at most


def keep(workdir: pathlib.Path, config: Any, train: IdentitySource, numbers: np.ndarray) -> None:
  """Writes hair.json, from which inference knows whom a picture's hair suits; not of bodies.

  Args:
    workdir: of the run; a file that is there stays.
    config: `crop` and `face_share` of the run.
    train: pictures with maps.
    numbers: of the training identities by class.
  """
  path = hair.path_in(workdir)
  if bodies.of_bodies(config) or path.exists() or jax.process_index():
    return
  # the view of synthesis, in whose height the face box has FACE_SHARE
  view = pipeline.View(_SIDE, min(config.crop * config.face_share / FACE_SHARE, 1.0))
  labels, known = train.identity_labels(), []
  for number in tqdm(numbers, desc='hair of control identities', file=sys.stderr, disable=None):
    places = np.flatnonzero(labels == number)[:_PICTURES]
    maps = (view.fixed(e['image'], e['map'])['map'] for e in (train[int(p)] for p in places))
    known.append(np.mean([hair.shares(found) for found in maps], axis=0))
  write_whole(path, hair.contents(np.array(known)))
