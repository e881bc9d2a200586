"""What bodies are compared by: colours, and an identity network that was trained on bodies."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from anon_jax import compiling
from anon_jax.data import body_classes, body_crops, joints, prepare
from anon_jax.data.body_view import BodyView
from anon_jax.evaluation.body_likeness import colours
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.inputs import BodyIdentityInput
from anon_jax.inference.runs import read_run
from anon_jax.inference.weights import DESCRIPTION, load_networks
from anon_jax.protocols.batches import in_batches

Body = tuple[np.ndarray, np.ndarray]
"""Pixels uint8 [h, w, 3], and where the person is, bool [h, w]."""


class Likeness(NamedTuple):
  """A way of comparing bodies.

  Attributes:
    name: its key in results.json.
    title: of its columns.
    crop: a body -> what `embed` takes of it, small enough to keep.
    embed: rows of `crop`, [n, ...] -> vectors of length 1, float [n, d].
  """

  name: str
  title: str
  crop: Callable[[np.ndarray, np.ndarray], np.ndarray]
  embed: Callable[[np.ndarray], np.ndarray]


COLOURS = Likeness('colours', 'colours (Bhattacharyya coefficient)', colours, lambda rows: rows)


def load_identity(given: str, batch: int) -> Likeness:
  """Loads an identity network that was trained on bodies.

  Args:
    given: workdir of an identity run, or folder of exported networks.
    batch: bodies in a batch.

  Raises:
    InferenceError: no identity network there, or one of faces.
    WeightsError: a damaged folder of networks.
  """
  folder = pathlib.Path(given).expanduser()
  if (folder / DESCRIPTION).is_file():
    found: Any = load_networks(folder).get('identity')
    if found is None:
      raise InferenceError(f'config.body_identity={given!r} has no identity network.')
  else:
    ((_, found),) = read_run(folder, None, only='identity')
  module, params, shown = found.module, found.params, found.input
  if not isinstance(shown, BodyIdentityInput):
    raise InferenceError(
      f'config.body_identity={given!r} holds an I of faces; give one that was trained on bodies.'
    )
  fraction = body_crops.FILL * body_crops.CROP / shown.person_share
  view = BodyView(shown.image_size, fraction)

  def crop(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    box = body_crops.mask_box(mask)
    assert box is not None
    classes = np.where(mask, np.uint8(body_classes.PERSON), np.uint8(0))
    stored = body_crops.cut_person(pixels, classes, joints.none(), body_crops.stored_region(box))
    cut = view.fixed(stored.image, stored.body_map, stored.joints)
    signed = cut['image'].astype(np.float32) / 127.5 - 1
    if shown.foreground_only:
      signed *= body_classes.is_foreground(cut['map'])[..., None]
    return signed

  placed = jax.device_put(params)
  run = compiling.jit(lambda params, rows: module.apply({'params': params}, rows))

  def embed(rows: np.ndarray) -> np.ndarray:
    return in_batches(lambda part: run(placed, part), batch, 'embedding bodies', rows)

  return Likeness('identity', 'IdentityNet of bodies (cosine)', crop, embed)


def strangers(folder: pathlib.Path) -> list[Body]:
  """Returns the people of Clothing Co-Parsing, one photograph each.

  Raises:
    DatasetError: missing or broken data.
  """
  builder = prepare.builder_class('ccp')
  found = []
  for items in builder.list_items(folder).values():
    for item in items:
      pixels, (person,) = builder.read_item(item)
      found.append((pixels, body_classes.is_foreground(person.body_map)))
  return found
