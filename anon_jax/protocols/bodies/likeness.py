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
from anon_jax.inference.records import IdentityInput
from anon_jax.inference.runs import read_run
from anon_jax.inference.weights import DESCRIPTION, load_weights
from anon_jax.nets.identity import IdentityNet
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
    InferenceError: no identity network there, or one of square crops, as of faces.
    WeightsError: a damaged folder of networks.
  """
  folder = pathlib.Path(given).expanduser()
  if (folder / DESCRIPTION).is_file():
    found: Any = load_weights(folder).identity
    if found is None:
      raise InferenceError(f'config.body_identity={given!r} has no identity network.')
  else:
    ((_, found),) = read_run(folder, None, only='identity')
  module, params, shown = found.module, found.params, found.input
  assert isinstance(shown, IdentityInput)
  height = _height(module, params, shown.image_size)
  if not height:
    raise InferenceError(
      f'config.body_identity={given!r} holds an I of other crops than bodies, which are twice as '
      'high as wide; give one that was trained on bodies.'
    )
  view = BodyView(height)

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


def _height(module: IdentityNet, params: Any, image_size: int) -> int:
  """Returns the height of the crops, twice as high as wide, that an I takes; 0: of other ones.

  Its last layer has a weight for each place of its last map, so it tells how many there are, and
  whether `image_size` is the height or the width.
  """
  places = params['embedding']['kernel'].shape[0] // module.widths[-1]
  side = image_size // 2 ** len(module.widths)
  sizes = {2 * side * side: 2 * image_size, side * (side // 2): image_size}
  return sizes.get(places, 0)


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
