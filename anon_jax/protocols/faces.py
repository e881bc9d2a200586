"""The main face of each picture of an evaluation, found once and kept in the workdir."""

import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from tqdm import tqdm

from anon_jax.evaluation.boxes import overlap
from anon_jax.inference.faces import Face

Find = Callable[[np.ndarray], Sequence[Face]]


def main_face(faces: Sequence[Face], width: int, height: int) -> Face | None:
  """Returns the face that a picture is of: large, and near its middle; None without faces.

  The score is the box's area less twice the squared distance of its centre from the picture's, as
  MTCNN's users choose in LFW (metrics.md 4, `center_weighted_size`).
  """

  def weight(face: Face) -> float:
    left, top, right, bottom = face.box
    away = ((left + right - width) / 2, (top + bottom - height) / 2)
    return (right - left) * (bottom - top) - 2 * (away[0] ** 2 + away[1] ** 2)

  return max((face for face in faces if face.landmarks is not None), key=weight, default=None)


def face_at(faces: Sequence[Face], box: Sequence[float]) -> Face | None:
  """Returns the face whose box overlaps a given one most, by at least a half; None without."""
  best = max(faces, key=lambda face: overlap(face.box, box), default=None)
  return best if best is not None and overlap(best.box, box) >= 0.5 else None


class FaceFile:
  """The faces of pictures by their names, in a file of one JSON object a line.

  Each picture is written as soon as it was searched; a line that was broken off is left out.

  Args:
    path: of the file.
  """

  def __init__(self, path: pathlib.Path):
    self._path, self._known = path, dict(_read(path))

  def find(
    self,
    names: Sequence[str],
    read: Callable[[str], Any],
    find: Callable[[Any], Sequence[Face]],
    title: str,
  ) -> Mapping[str, Sequence[Face]]:
    """Returns the faces of pictures, searching those that were not searched yet.

    Args:
      names: of the pictures.
      read: gives what the detector takes, by the name of a picture; as a rule its pixels.
      find: the detector; as many threads use it as its attribute `callers` says, one without.
      title: of the progress bar.
    """
    missing = [name for name in names if name not in self._known]
    if missing:
      self._path.parent.mkdir(parents=True, exist_ok=True)
      with self._path.open('w') as file:
        for name, faces in self._known.items():
          file.write(_line(name, faces))
        pool = ThreadPoolExecutor(int(getattr(find, 'callers', 1)))
        bar = tqdm(total=len(missing), desc=title, unit=' pictures', disable=None)
        try:
          rows = pool.map(lambda name: tuple(find(read(name))), missing)
          for name, faces in zip(missing, rows, strict=True):
            self._known[name] = faces
            file.write(_line(name, faces))
            file.flush()
            bar.update()
        finally:
          bar.close()
          pool.shutdown(cancel_futures=True)  # or Ctrl-C would wait for all pictures
        os.fsync(file.fileno())
    return {name: self._known[name] for name in names}


def _line(name: str, faces: Sequence[Face]) -> str:
  rows = [[list(face.box), face.score, face.landmarks] for face in faces]
  return json.dumps({'name': name, 'faces': rows}) + '\n'


def _read(path: pathlib.Path) -> Iterator[tuple[str, Sequence[Face]]]:
  for line in path.read_text().splitlines() if path.is_file() else ():
    try:
      row = json.loads(line)
      yield row['name'], tuple(_face(*values) for values in row['faces'])
    except (ValueError, KeyError, TypeError):
      return  # broken off here; what follows is searched again


def _face(box: Sequence[float], score: float, points: Sequence[Sequence[float]] | None) -> Face:
  left, top, right, bottom = box
  landmarks = None if points is None else tuple((x, y) for x, y in points)
  return Face((left, top, right, bottom), score, landmarks)
