"""Are people still found where they are, and can they be linked to their sources by bodies?"""

import pathlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from anon_jax import __version__
from anon_jax.data.errors import DatasetError
from anon_jax.evaluation import body_likeness
from anon_jax.evaluation.boxes import overlap
from anon_jax.evaluation.intervals import share_of
from anon_jax.protocols import outputs
from anon_jax.protocols.bodies import covers
from anon_jax.protocols.bodies.detectors import Finder
from anon_jax.protocols.bodies.frames import Box, Frames
from anon_jax.protocols.bodies.likeness import Body, Likeness
from anon_jax.protocols.faces import FaceFile
from anon_jax.protocols.study import hash_of
from anon_jax.protocols.systems import METHOD, ORIGINAL, SYSTEMS, System

_SAME = 0.5  # overlap from which a box is that of the person
_COVERS = tuple(system for system in SYSTEMS if system not in (ORIGINAL, METHOD))

Read = Callable[[str], np.ndarray]


def rows(more: Sequence[System]) -> tuple[System, ...]:
  """Returns the rows in their order: the source, covers, other tools' frames, solid fill last."""
  return (ORIGINAL, *_COVERS[:-1], *more, _COVERS[-1])


def reader(system: System, frames: Frames) -> Read:
  """Returns what gives a system's pixels of a frame, uint8 [h, w, 3].

  Raises:
    DatasetError: when it is used: a frame of another tool is missing or of another size.
  """
  if system is ORIGINAL:
    return frames.read
  if system.folder is None:
    return lambda name: covers.cover(
      frames.read(name), frames.mask(name), system.method, system.size
    )
  folder = system.folder

  def given(name: str) -> np.ndarray:
    path = outputs.under_any_extension(folder / name)
    pixels, wanted = outputs.read(path), frames.read(name).shape
    if pixels.shape != wanted:
      raise DatasetError(f'{path} is {pixels.shape}; the source frame is {wanted}.')
    return pixels

  return given


def evaluate(
  frames: Frames,
  boxes: Mapping[str, Box],
  workdir: pathlib.Path,
  more: Sequence[System],
  *,
  finders: Sequence[Finder] = (),
  ways: Sequence[Likeness] = (),
  strangers: Sequence[Body] = (),
  gap: int = 10,
  block: int = 10,
) -> tuple[dict[str, Any], dict[str, Read]]:
  """Measures covers and other tools' frames beside the sources.

  Args:
    frames: of sequences of one person each.
    boxes: by name of a frame, the least box around the person's mask.
    workdir: where detections are kept.
    more: other tools' frames.
    finders: who says whether a person is seen.
    ways: of comparing bodies.
    strangers: further people, one picture each.
    gap: frames from which on two of one person are other ones.
    block: consecutive frames that are drawn together for intervals.

  Returns:
    The result: `rows` by name: `title`, `recall` by finder as `_recall` returns it, `likeness` by
    way as `body_likeness.summary` returns it. `frames`, `sequences` (frames by name), `people`
    (strangers included), titles of `finders` and `ways`, `list`, the hash of the names. And what
    reads each row's frames, by its title.

  Raises:
    DatasetError: missing or broken frames.
  """
  groups = frames.blocks(block)
  people = len(np.unique(frames.people)) + len(strangers)
  unknown = {way.name: _embedded(way, strangers, len(strangers)) for way in ways}
  readers = {system.title: reader(system, frames) for system in rows(more)}
  source: dict[str, np.ndarray] = {}
  clear: dict[str, np.ndarray] = {}
  found: dict[str, Any] = {}
  for system in rows(more):
    read = readers[system.title]
    row: dict[str, Any] = {'title': system.title, 'recall': {}, 'likeness': {}}
    for finder in finders:
      hits = _hits(finder, _folder(workdir, system), system, frames, boxes, read)
      clear.setdefault(finder.name, hits)
      row['recall'][finder.name] = _recall(hits, clear[finder.name], frames, groups)
    for way in ways:
      bodies = ((read(name), frames.mask(name)) for name in frames.names)
      output = _embedded(way, bodies, len(frames.names), system.title)
      source.setdefault(way.name, output)
      each = body_likeness.likenesses(
        source[way.name], output, frames.people, frames.times, unknown[way.name], gap
      )
      row['likeness'][way.name] = body_likeness.summary(each, people, groups)
    found[system.name] = row
  return {
    'rows': found,
    'frames': len(frames.names),
    'sequences': {
      name: int((frames.people == number).sum()) for number, name in enumerate(frames.sequences)
    },
    'people': people,
    'finders': {finder.name: finder.title for finder in finders},
    'ways': {way.name: way.title for way in ways},
    'list': hash_of(frames.names),
  }, readers


def _folder(workdir: pathlib.Path, system: System) -> pathlib.Path:
  """Returns where what is found in a system's frames is kept; nothing old if it may differ."""
  folder = workdir / system.name
  if system.method:
    made = {'version': __version__, 'bodies': [system.method, system.size]}
    outputs.keep_or_clear(folder, made)
  return folder


def _hits(
  finder: Finder,
  folder: pathlib.Path,
  system: System,
  frames: Frames,
  boxes: Mapping[str, Box],
  read: Read,
) -> np.ndarray:
  """Returns in which frames the person is found, bool [n]."""
  path = folder / f'people_{finder.name}.jsonl'
  if system.folder is not None:  # nobody knows whether they are still the same frames
    path.unlink(missing_ok=True)
  found = FaceFile(path).find(
    frames.names,
    lambda name: (read(name), boxes[name]),
    lambda asked: finder.find(*asked),
    f'finding people by {finder.name}, {system.title}',
  )
  return np.array(
    [any(overlap(each.box, boxes[name]) >= _SAME for each in found[name]) for name in frames.names]
  )


def _recall(
  hits: np.ndarray, clear: np.ndarray, frames: Frames, groups: np.ndarray
) -> dict[str, Any]:
  """Sums up in which frames a person is found.

  Returns:
    `all`, the share of all frames; `found_before`, of those in whose source the person is found;
    `frames`, how many these are; `sequences`, by name the share of all of its frames.
  """
  return {
    'all': share_of(hits, groups),
    'found_before': share_of(hits[clear], groups[clear]),
    'frames': int(clear.sum()),
    'sequences': {
      name: share_of(hits[frames.people == number], groups[frames.people == number])
      for number, name in enumerate(frames.sequences)
    },
  }


def _embedded(
  way: Likeness, bodies: Iterable[Body], count: int, title: str = 'strangers'
) -> np.ndarray:
  bar = tqdm(
    bodies, desc=f'{way.name}, {title}', total=count, unit=' bodies', file=sys.stderr, disable=None
  )
  rows_of = [way.crop(pixels, mask) for pixels, mask in bar]
  return way.embed(np.stack(rows_of)) if rows_of else np.zeros((0, 0))  # nobody
