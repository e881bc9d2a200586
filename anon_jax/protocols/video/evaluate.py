"""tLP of the paper (4.2), and what it does not see: trembling, identity, links over many frames."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anon_jax.evaluation import landmark_jitter, lpips, temporal_lpips
from anon_jax.evaluation.identity_variance import IdentityVariance
from anon_jax.evaluation.intervals import bootstrap_mean
from anon_jax.protocols import outputs
from anon_jax.protocols.attacks.linking import Side, link, mean_of
from anon_jax.protocols.detectors import Judge
from anon_jax.protocols.embedding import Embedder
from anon_jax.protocols.study import hash_of
from anon_jax.protocols.systems import ORIGINAL, System
from anon_jax.protocols.video import sides
from anon_jax.protocols.video.clips import ROWS, Maker, find, shortened
from anon_jax.protocols.video.sides import Measurer, Sides

_CUT = 2  # frames at both ends that do not count, as in TecoGAN's code (metrics.md 3)
# A clip shows one person if nobody else is found in so many of its frames.
_ALONE = 0.8


class Clips:
  """Clips of a folder, what systems make of them, and what is measured of both.

  Args:
    folder: of the clips.
    workdir: where everything that takes time is kept.
    embedder: the recogniser.
    distance: of consecutive frames, and its parameters; None leaves it out.
    judge: a detector that is not the pipeline's; None leaves it out.
    weights: folder of trained networks; '' for the package's own.
    frames: at most, of each clip; 0: all.
    seed: of the draws of control identities.

  Raises:
    DatasetError: no clip.
    InferenceError: a clip cannot be read.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    workdir: pathlib.Path,
    embedder: Embedder,
    distance: tuple[lpips.Lpips, Any] | None,
    judge: Judge | None,
    *,
    weights: str = '',
    frames: int = 0,
    seed: int = 0,
  ):
    self._workdir, self._weights = workdir, weights
    self._key = f'evaluation {seed}'.encode()
    given = find(folder)
    sizes = {name: path.stat().st_size for name, path in given.items()}
    outputs.keep_or_clear(workdir / 'sources', {'frames': frames, 'clips': sizes})
    self.paths = {
      name: shortened(path, workdir / 'sources' / f'{name}.mp4', frames)
      for name, path in given.items()
    }
    self._measurer = Measurer(embedder, distance, judge, frames)
    self._measures = {
      'clips': sizes,
      'frames': frames,
      'recogniser': embedder.sha256,
      'distance': '' if distance is None else distance[0].title,
      'judge': '' if judge is None else judge.name,
    }
    self.sources = self._measured(ORIGINAL, self.paths)

  def measures(self, system: System) -> dict[str, Sides]:
    """Returns by clip what is measured of what a system makes of it.

    Raises:
      DatasetError: a clip without a face, or clips of another system that do not fit.
      InferenceError: a clip cannot be read or written.
    """
    if system is ORIGINAL:
      return self.sources
    folder, key = self._workdir / system.name, self._key + f' {system.name}'.encode()
    if system.folder is None:
      made = outputs.made_by(system, self._weights, key)
      outputs.keep_or_clear(folder, made | {'clips': self._measures['clips']})
    return self._measured(system, Maker(system, folder, self._weights, key).make(self.paths))

  def _measured(self, system: System, paths: Mapping[str, pathlib.Path]) -> dict[str, Sides]:
    folder = self._workdir / system.name / 'measures'
    made = outputs.made_by(system, self._weights, self._key) | self._measures
    if system.folder is not None:  # nobody knows whether they are still the same clips
      made |= {'given': {name: path.stat().st_mtime_ns for name, path in paths.items()}}
    outputs.keep_or_clear(folder, made)
    found = {}
    for name, path in paths.items():
      file = folder / f'{name}.npz'
      if not file.is_file():
        source = None if system is ORIGINAL else self.sources[name]
        sides.save(self._measurer.measure(path, source, f'{system.title}, {name}'), file)
      found[name] = sides.load(file)
    return found


def evaluate(
  clips: Clips, more: Sequence[System], people: Side | None, seed: int
) -> tuple[dict[str, Any], dict[str, list[np.ndarray]]]:
  """Measures every system on clips.

  Args:
    clips: the clips.
    more: further systems.
    people: strangers who stand in the gallery beside the people of the clips; None: nobody.
    seed: of the permutations.

  Returns:
    The result: `rows`, by the name of the system: `title`; `clips`, by name what `_clip` returns;
    means over the clips with 95 % intervals, clips drawn as wholes, as `_overall` returns them;
    `linked`, as `_linked`. Besides `clips`, by name `frames` and whether one person is `alone` in
    it, and `list`, the hash of their names. And by title, frames that show what was made.
  """
  alone = {name: _alone(source) for name, source in clips.sources.items()}
  rows, shown = {}, {}
  for system in (*ROWS, *more):
    found = clips.measures(system)
    each = {name: _clip(clips.sources[name], side, alone[name]) for name, side in found.items()}
    rows[system.name] = {
      'title': system.title,
      'clips': each,
      **_overall(each),
      'linked': _linked(clips.sources, found, alone, people, seed),
    }
    shown[system.title] = [frame for side in found.values() for frame in side.shown]
  result = {
    'rows': rows,
    'clips': {
      name: {'frames': len(side.faces), 'alone': alone[name]}
      for name, side in clips.sources.items()
    },
    'list': hash_of(list(clips.paths)),
  }
  return result, shown


def _alone(source: Sides) -> bool:
  return bool(np.mean(source.faces == 1) >= _ALONE)


def _clip(source: Sides, made: Sides, alone: bool) -> dict[str, float]:
  """Measures one clip.

  Returns:
    `pairs`, `tlp`, `tlp100`, `consecutive` and `consecutive_input` as `temporal_lpips.summary`;
    `jitter`, `jitter_input` and `jitter_added`, in sizes of the face; `again` and `judged`, shares
    of the frames with a face in which it is found again, by CenterFace and by the other detector;
    and where one person is alone `variance` and `variance_input` of the identity, and `alike`, the
    mean cosine of a frame's face to that of its source. NaN for what cannot be measured.
  """
  rows = np.stack([source.consecutive, made.consecutive], axis=1)
  found = temporal_lpips.summary(rows[_CUT : len(rows) - _CUT])
  keys = ('pairs', 'tlp', 'tlp100', 'consecutive', 'consecutive_input')
  sizes = source.boxes[:, 3] - source.boxes[:, 1]
  trembling = landmark_jitter.compare(source.landmarks, made.landmarks, sizes)
  there = source.found
  result: dict[str, float] = {name: found[name] for name in keys}
  result |= {
    'jitter': trembling['output'],
    'jitter_input': trembling['input'],
    'jitter_added': trembling['added'],
    'again': float(np.mean(made.found[there])) if there.any() else np.nan,
    'judged': _again(source.judged, made.judged),
    'variance': np.nan,
    'variance_input': np.nan,
    'alike': np.nan,
  }
  if alone:
    cosines = np.sum(source.in_place[there].astype(np.float64) * made.in_place[there], axis=1)
    result |= {
      'variance': _variance(made.embeddings),
      'variance_input': _variance(source.embeddings),
      'alike': float(cosines.mean()),
    }
  return result


def _again(before: np.ndarray, after: np.ndarray) -> float:
  """Returns the share of the faces that are found in sources, and are found in outputs."""
  return float(np.mean(after[before == 1])) if (before == 1).any() else np.nan


def _variance(embeddings: np.ndarray) -> float:
  found = IdentityVariance()
  rows = embeddings[np.isfinite(embeddings).all(axis=1)]
  if len(rows):
    found.add(rows)
  return found.result()


def _overall(each: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
  """Means over the clips that have a measure (TecoGAN's FolderAvg), with intervals.

  And `tlp_frames`, the mean over the frames of all clips (its FrameAvg).
  """
  rows = list(each.values())
  found: dict[str, Any] = {
    name: bootstrap_mean(np.array([row[name] for row in rows if np.isfinite(row[name])]))
    for name in rows[0]
    if name != 'pairs'
  }
  counted = [row for row in rows if np.isfinite(row['tlp'])]
  pairs = sum(row['pairs'] for row in counted)
  total = sum(row['tlp'] * row['pairs'] for row in counted)
  found['tlp_frames'] = total / pairs if pairs else float('nan')
  return found


def _linked(
  sources: Mapping[str, Sides],
  made: Mapping[str, Sides],
  alone: Mapping[str, bool],
  people: Side | None,
  seed: int,
) -> dict[str, Any] | None:
  """T5: frames of a clip's second half, alone and pooled, in means of clear first halves.

  Returns:
    `single` and `pooled`, as `linking.link`; None where fewer than two clips show one person.
  """
  names = [name for name in sources if alone[name]]
  if len(names) < 2:
    return None
  gallery, single, pooled = [], [], []
  for name in names:
    half = len(sources[name].faces) // 2
    gallery.append(mean_of(sources[name].in_place[:half]))
    later = made[name].in_place[half:]
    single.append(later)
    pooled.append(mean_of(later))
  own = -1 - np.arange(len(names))  # nobody's number in the gallery of strangers
  vectors, labels = np.stack(gallery), own
  if people is not None:
    vectors, labels = np.concatenate([vectors, people.vectors]), np.append(own, people.labels)
  known = Side(vectors, labels, np.arange(len(labels))).known()
  frames = np.repeat(own, [len(rows) for rows in single])
  found = {}
  for kind, rows, who in (
    ('single', np.concatenate(single), frames),
    ('pooled', np.stack(pooled), own),
  ):
    probes = Side(rows, who, len(labels) + np.arange(len(who))).known()
    found[kind] = link(probes, known, None, seed) if len(probes.labels) else None
  return found
