"""A photograph on the page: read, searched, anonymized as asked, written, and told of."""

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from anon_jax.inference import manifest
from anon_jax.inference.decisions import KEPT, Anonymized, Request
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.manifest import ANONYMIZED, NO_FACE, Entry
from anon_jax.inference.reading import Reader
from anon_jax.inference.writing import write_picture_file
from anon_jax.serving import asking
from anon_jax.serving.asking import Asked, Given
from anon_jax.serving.engine import Engine
from anon_jax.serving.items import PICTURE, Item

EXTENSIONS = {
  'JPEG': '.jpg',
  'PNG': '.png',
  'WEBP': '.webp',
  'TIFF': '.tif',
  'BMP': '.bmp',
  'GIF': '.gif',
}
_PREVIEW = 1600  # longer side in pixels of what the page shows
_NOTHING_FOUND = (
  'No face was found, so nothing is given out. A detector misses some: look at it closely. Draw a '
  'box around a face that was missed, or confirm that none shows.'
)


class NothingToReplace(Exception):
  """No face is to be replaced or kept, and nobody has confirmed that none shows: it says so."""


def preview(pixels: np.ndarray) -> bytes:
  """Returns uint8 [h, w, 3] made smaller, as a JPEG of pixels alone."""
  image = Image.fromarray(pixels)
  image.thumbnail((_PREVIEW, _PREVIEW), Image.Resampling.LANCZOS, reducing_gap=3)
  out = io.BytesIO()
  image.save(out, 'JPEG', quality=90)
  return out.getvalue()


def anonymize(item: Item, asked: Asked, engine: Engine, reader: Reader) -> None:
  """Makes the result of a photograph; `item` learns all of it.

  Raises:
    NothingToReplace: as it says; the item has no result.
    InferenceError: it cannot be read, searched, anonymized so or written.
  """
  item.stage = 'reading'
  picture = reader.read(item.path)
  if len(picture.frames) > 1:
    raise InferenceError(
      f'It holds {len(picture.frames)} pictures, and the page takes one at a time; use '
      '`anon-jax anonymize` for animations and pages.'
    )
  pixels = picture.frames[0]
  height, width = pixels.shape[:2]
  item.kind, item.size = PICTURE, (width, height)
  if not item.before:
    item.before = preview(pixels)
  anonymizer = engine.anonymizer(asked.method, asked.identity)
  if item.found is None:
    item.stage = 'looking for faces'
    item.found = anonymizer.detect(pixels)
  given = asking.settled(asked, item.found, (width, height))
  if not given and not asked.no_face:
    raise NothingToReplace(_NOTHING_FOUND)
  item.stage = 'replacing faces' if asked.method == 'synthesize' else 'covering faces'
  engine.wait_until_warm(asked.method)
  kept = [number for number, each in enumerate(given) if each.kept]
  request = Request(pixels, [each.face for each in given], name=item.name, kept=kept)
  done = anonymizer.anonymize_many([request])[0]
  item.stage = 'writing and checking'
  target = item.folder / f'result{EXTENSIONS[picture.kind]}'
  write_picture_file(target, [done.image], picture.kind)
  entry = Entry(pathlib.Path(item.name), pathlib.Path(name_of_result(item.name, target.suffix)))
  entry.frames, entry.faces, entry.left_out = 1, [done.faces], picture.left_out
  _tell(item, entry, done, given, engine.settings(asked.method, asked.identity), target)
  item.after = preview(done.image)
  item.result = target


def name_of_result(name: str, suffix: str) -> str:
  """Returns what a result is called: only a proposal, which no path is made of."""
  stem = name.rpartition('.')[0] or name
  return f'{stem}_anonymized{suffix}'


def _tell(
  item: Item,
  entry: Entry,
  done: Anonymized,
  given: Sequence[Given],
  settings: dict[str, object],
  target: pathlib.Path,
) -> None:
  """Writes the manifest, and what the page shows of the faces."""
  if not done.faces:
    entry.status = NO_FACE
    entry.message = 'somebody has confirmed on the page that no face shows'
  elif all(decision.action == KEPT for decision in done.faces):
    entry.status, entry.message = KEPT, 'each face was kept by choice'
  else:
    entry.status = ANONYMIZED
  entry.written = True
  record = record_of(entry, item, target)
  for face, each in zip(record['faces'], given, strict=True):
    face['by'] = each.by
    if each.found_box:
      face['found_box'] = [round(value, 1) for value in each.found_box]
  item.faces = record['faces']
  item.manifest = manifest.write_up([record], [], [], settings)


def record_of(entry: Entry, item: Item, target: pathlib.Path) -> dict[str, Any]:
  """Returns what the manifest says of a file that has been written."""
  entry.source_sha256 = manifest.sha256_of(item.path)
  entry.target_sha256 = manifest.sha256_of(target)
  return entry.record()
