"""Writes pictures so that a file is either whole or not there, and holds nothing but its pixels."""

import datetime
import io
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, WebPImagePlugin

from anon_jax.inference import decoding
from anon_jax.inference.capture import Position, write_exif
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import shown
from anon_jax.inference.placing import PartFile, named_errors
from anon_jax.inference.structure import KINDS, RefusedPicture

HOLD_CAPTURE = ('JPEG', 'PNG', 'WEBP', 'TIFF')
_ANIMATED = ('PNG', 'WEBP', 'GIF')
_LONGEST_SIDE = {'JPEG': 65535, 'GIF': 65535, 'WEBP': 16383}
_OPTIONS: dict[str, dict[str, Any]] = {
  # subsampling=0 keeps colour at full resolution: small faces lose their lips and eyes otherwise.
  'JPEG': {'quality': 95, 'subsampling': 0},
  # Lossless would be several times the size of what WebP photographs come as.
  'WEBP': {'quality': 95, 'method': 4},
  'TIFF': {'compression': 'tiff_lzw'},
  'GIF': {'optimize': False},
  'PNG': {},
  'BMP': {},
}


def write_picture_file(
  path: str | os.PathLike[str],
  frames: Sequence[np.ndarray],
  kind: str,
  durations: Sequence[int] = (),
  loop: int = 0,
  capture: datetime.datetime | None = None,
  position: Position | None = None,
) -> None:
  """Writes a picture from pixels alone, checks it by decoding it, and puts it in its place.

  JPEG and WebP are written at quality 95 (JPEG 4:4:4), PNG, TIFF and BMP without loss, GIF with
  each frame's own 256 colours. Frames of an animation that look like the one before them prolong
  it. Nothing is carried along from where the pixels came from.

  Args:
    path: the file's final name; a file there is replaced as a whole. Missing folders are made.
    frames: uint8 [h, w, 3], all of one size; more than one for pages of a TIFF and animations only.
    kind: one of structure.KINDS, whatever the path's extension.
    durations: of an animation, milliseconds a frame; else empty.
    loop: how often an animation is shown; 0 for ever.
    capture: when the photograph was taken, to be written as EXIF; kinds without EXIF leave it out.
    position: where it was taken, likewise.

  Raises:
    InferenceError: the frames do not fit into that kind, or the file cannot be written.
  """
  _check_frames(path, frames, kind, durations)
  images = [_paletted(f) if kind == 'GIF' else Image.fromarray(f) for f in frames]
  if durations:
    images, durations = _without_repetition(images, _rounded(durations, kind))
  exif = write_exif(capture, position) if kind in HOLD_CAPTURE else b''
  try:
    content = _encoded(images, kind, durations, loop, exif)
  except decoding.BROKEN as error:
    raise InferenceError(
      f'{shown(path)} cannot be encoded as {kind} ({error}); choose PNG or TIFF.'
    ) from None
  write_atomically(path, content, lambda file: _check_written(file, kind, images, durations))


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
  """Writes a UTF-8 text so that its name shows all of it or what was there before.

  Raises:
    InferenceError: it cannot be written.
  """
  write_atomically(path, text.encode())


def write_atomically(
  path: str | os.PathLike[str],
  content: bytes,
  check: Callable[[BinaryIO], None] | None = None,
) -> None:
  """Writes a file so that its name shows all of it or what was there before.

  Args:
    path: the final name. Missing folders are made.
    content: of the file.
    check: is given the written file, opened anew, and raises if it is not right.

  Raises:
    InferenceError: it cannot be written, or is a link: what that points to is another's file.
  """

  def reopen(part: pathlib.Path) -> None:
    assert check
    with part.open('rb') as file:
      check(file)

  with named_errors(path), PartFile(path) as new:
    new.file.write(content)
    new.finish(reopen if check else None)


def _check_frames(
  path: str | os.PathLike[str], frames: Sequence[np.ndarray], kind: str, durations: Sequence[int]
) -> None:
  def refuse(what: str) -> InferenceError:
    return InferenceError(f'{shown(path)} cannot be written: {what}.')

  if kind not in KINDS:
    raise refuse(f'{kind!r} is no kind of picture; choose one of {", ".join(KINDS)}')
  if not frames:
    raise refuse('no frame was given; give at least one')
  for frame in frames:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
      raise refuse(f'a frame is {frame.dtype} {list(frame.shape)}; give uint8 [h, w, 3]')
    if frame.shape != frames[0].shape:
      raise refuse('its frames have different sizes; give frames of one size')
  if len(durations) not in (0, len(frames)) or any(not 0 <= d <= 65535 for d in durations):
    raise refuse(
      f'{len(durations)} durations for {len(frames)} frames; give one a frame, 0 to 65535 ms'
    )
  if durations and kind not in _ANIMATED:
    raise refuse(f'{kind} holds no animation; choose {", ".join(_ANIMATED)}')
  if len(frames) > 1 and not durations and kind != 'TIFF':
    raise refuse(f'{kind} does not hold {len(frames)} pages; choose TIFF')
  longest, limit = max(frames[0].shape), _LONGEST_SIDE.get(kind)
  if limit and longest > limit:
    raise refuse(f'{kind} ends at {limit} pixels a side, this has {longest}; choose PNG or TIFF')


def _paletted(frame: np.ndarray) -> Image.Image:
  """Returns a picture of at most 256 colours: exactly the frame's, if it has no more."""
  red, green, blue = (frame[..., c].astype(np.uint32) for c in range(3))
  colours, numbers = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
  if len(colours) > 256:
    return Image.fromarray(frame).quantize(256)
  image = Image.fromarray(numbers.reshape(frame.shape[:2]).astype(np.uint8))
  table = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], 1)
  image.putpalette(table.astype(np.uint8).tobytes())
  return image


def _rounded(durations: Sequence[int], kind: str) -> list[int]:
  """Returns durations that the kind can hold: a GIF counts in hundredths of a second."""
  return [round(d / 10) * 10 if kind == 'GIF' else d for d in durations]


def _without_repetition(
  images: Sequence[Image.Image], durations: Sequence[int]
) -> tuple[list[Image.Image], list[int]]:
  """Merges equal frames that follow each other, as encoders do unasked: so they can be counted."""
  kept: list[Image.Image] = []
  lengths: list[int] = []
  last = None
  for image, duration in zip(images, durations, strict=True):
    content = image.convert('RGB').tobytes()
    if content == last and lengths[-1] + duration <= 65535:
      lengths[-1] += duration
      continue
    kept.append(image)
    lengths.append(duration)
    last = content
  return kept, lengths


def _encoded(
  images: Sequence[Image.Image], kind: str, durations: Sequence[int], loop: int, exif: bytes
) -> bytes:
  options = dict(_OPTIONS[kind])
  if exif:
    options['exif'] = exif
    options.pop('compression', None)  # Pillow writes EXIF into plain TIFFs only
  if len(images) > 1:
    options.update(save_all=True, append_images=images[1:])
  if durations and len(images) > 1:
    options['duration'] = list(durations)
    # A GIF that is shown once says nothing about it.
    if kind != 'GIF' or loop != 1:
      options['loop'] = loop
  out = io.BytesIO()
  images[0].save(out, kind, **options)
  if kind == 'WEBP' and len(images) > 1:
    out.seek(0)
    if WebPImagePlugin.WebPImageFile(out).n_frames < len(images):
      # The encoder takes frames that differ by little for one, unless it works without loss.
      out = io.BytesIO()
      images[0].save(out, kind, **options, lossless=True)
  return out.getvalue()


def _check_written(
  file: BinaryIO, kind: str, images: Sequence[Image.Image], durations: Sequence[int]
) -> None:
  """Raises unless a file decodes to the frames that were to be written."""
  seen = lasted = 0

  def compare(frame: np.ndarray, duration: int) -> None:
    nonlocal seen, lasted
    wrong = seen >= len(images) or frame.shape[1::-1] != images[seen].size
    if not wrong and kind not in ('JPEG', 'WEBP'):
      wrong = not np.array_equal(frame, np.asarray(images[seen].convert('RGB')))
    if wrong:
      raise RefusedPicture(f'frame {seen + 1} of what was written is not what was given')
    seen += 1
    lasted += duration

  try:
    with warnings.catch_warnings(action='ignore'):  # what they tell of ends in an error below
      summary = decoding.decode(file, compare)
  except RefusedPicture:
    raise
  except decoding.BROKEN as error:
    raise RefusedPicture(f'what was written does not decode: {error}') from None
  whole = seen == len(images) and (len(durations) < 2 or lasted == sum(durations))
  if summary.kind != kind or not whole or summary.left_out:
    raise RefusedPicture(
      f'what was written decodes to {seen} frames of {lasted} ms; expected {len(images)} of '
      f'{sum(durations)} ms'
    )
