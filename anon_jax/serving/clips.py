"""A clip on the page: read, followed and written by the pipeline of videos, with progress."""

import pathlib
import time

from anon_jax.inference import manifest
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.listing import EXTENSIONS
from anon_jax.inference.manifest import ANONYMIZED, NO_FACE, Entry
from anon_jax.inference.paths import shown
from anon_jax.inference.video_reading import VideoReader
from anon_jax.inference.videos import NoFaceError, anonymize_video
from anon_jax.serving import pictures
from anon_jax.serving.asking import Asked
from anon_jax.serving.engine import Engine
from anon_jax.serving.items import CLIP, Item
from anon_jax.serving.limits import Limits

_NOTHING_FOUND = (
  'No face was found in any frame, so nothing is given out. A detector misses some: look at it '
  'closely, and confirm that no face shows.'
)


class Stopped(Exception):
  """Nobody wants the clip any more."""


def anonymize(item: Item, asked: Asked, engine: Engine, limits: Limits) -> None:
  """Makes the result of a clip; `item` learns all of it, and how far it is.

  Raises:
    pictures.NothingToReplace: no face was found in any frame, and nobody confirmed that.
    Stopped: as it says.
    InferenceError: it cannot be read to its end, is too long, or cannot be written.
  """
  item.kind, item.stage = CLIP, 'reading'
  _look(item, limits)
  item.stage = 'preparing the networks'
  engine.wait_until_warm(asked.method)
  deadline = time.monotonic() + limits.clip_seconds

  def tell(frames: int) -> None:
    if item.stopped.is_set():
      raise Stopped
    item.done += frames
    if item.done > limits.clip_frames:
      raise InferenceError(
        f'It has more than {limits.clip_frames} frames; cut it, or use `anon-jax anonymize`.'
      )
    if time.monotonic() > deadline:
      raise InferenceError(
        f'It took longer than {limits.clip_seconds / 60:.0f} minutes; cut it, or use '
        '`anon-jax anonymize`.'
      )

  def expect(frames: int) -> None:
    item.expected = frames

  item.stage = 'replacing faces' if asked.method == 'synthesize' else 'covering faces'
  target = item.folder / 'result.mp4'
  anonymizer = engine.anonymizer(asked.method, asked.identity)
  try:
    found = anonymize_video(
      item.path,
      target,
      anonymizer,
      allow_no_faces=asked.no_face,
      name=item.name,
      tell=tell,
      expect=expect,
    )
  except NoFaceError:
    raise pictures.NothingToReplace(_NOTHING_FOUND) from None
  if item.stopped.is_set():
    raise Stopped
  name = pictures.name_of_result(item.name, '.mp4')
  entry = Entry(pathlib.Path(item.name), pathlib.Path(name))
  entry.frames, entry.without_faces = found.frames, found.without_faces
  entry.tracks, entry.left_out = found.records(), found.left_out
  entry.status, entry.written = ANONYMIZED if found.found else NO_FACE, True
  if not found.found:
    entry.message = 'somebody has confirmed on the page that no face shows'
  record = pictures.record_of(entry, item, target)
  item.faces = list(entry.tracks)
  item.manifest = manifest.write_up([record], [], [], engine.settings(asked.method, asked.identity))
  item.result = target


def _look(item: Item, limits: Limits) -> None:
  """Reads the size and the first frame of a clip.

  Raises:
    InferenceError: it is no clip, or too large.
  """
  with _reader(item) as reader:
    found = reader.outline
    pixels = found.width * found.height
    if pixels > limits.clip_pixels:
      raise InferenceError(
        f'It has {found.width} x {found.height} pixels; at most {limits.clip_pixels:,} are taken: '
        'make it smaller, or use `anon-jax anonymize`.'
      )
    if found.frames > limits.clip_frames:
      raise InferenceError(
        f'It says that it has {found.frames} frames; at most {limits.clip_frames} are taken: cut '
        'it, or use `anon-jax anonymize`.'
      )
    item.size = found.width, found.height
    for frame in reader:
      if not item.before:
        item.before = pictures.preview(frame.pixels)
      break


def _reader(item: Item) -> VideoReader:
  """Opens a clip; of what is none, and has a picture's name, it is said that it is no picture."""
  try:
    return VideoReader(item.path)
  except InferenceError:
    if pathlib.PurePath(item.name).suffix.lower() not in EXTENSIONS:
      raise
    raise InferenceError(
      f'{shown(item.name)} is no JPEG, PNG, WebP, TIFF, BMP or GIF by its content; convert it.'
    ) from None
