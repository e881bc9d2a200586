"""Whether bodies can be linked again: likeness of source and output, beside that of others.

An embedding is any vector of length 1. The floor is colour: the square roots of a histogram's
shares, whose product with another's is their Bhattacharyya coefficient.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from anon_jax.evaluation.intervals import bootstrap_mean, share_of

# Of hue, saturation and value. Value has few: light changes it more than clothes do.
BINS = (16, 4, 4)


class Likenesses(NamedTuple):
  """Of each output frame, float64 [n]; NaN where there is nothing to compare with.

  Attributes:
    own: to its source.
    same: mean, to sources of the same person at other times.
    others: mean, to sources of other people, each person weighing the same.
    auc: how often one of `same` is above one of `others`, ties counting one half.
    hit: whether, among one source of each person, that of the same is the nearest: her frame that
      is the farthest in time, and the middle frame of each of the others. Ties are no hit.
  """

  own: np.ndarray
  same: np.ndarray
  others: np.ndarray
  auc: np.ndarray
  hit: np.ndarray


def colours(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Returns the square roots of the shares of hues, saturations and values, float64 [256].

  Args:
    pixels: uint8 RGB [h, w, 3].
    mask: bool [h, w], which of them count; one at least.

  Raises:
    ValueError: no pixel counts.
  """
  if not mask.any():
    raise ValueError('no pixel is of the body; its colours cannot be counted.')
  values = np.asarray(Image.fromarray(pixels).convert('HSV'))[mask]  # [pixels 3]
  hue, saturation, value = (
    values[:, place].astype(np.int64) * count // 256 for place, count in enumerate(BINS)
  )
  place = (hue * BINS[1] + saturation) * BINS[2] + value
  counts = np.bincount(place, minlength=int(np.prod(BINS)))
  shares: np.ndarray = np.sqrt(counts / counts.sum())
  return shares


def likenesses(
  source: np.ndarray,
  output: np.ndarray,
  people: np.ndarray,
  times: np.ndarray,
  strangers: np.ndarray,
  gap: int,
) -> Likenesses:
  """Compares each output with the sources.

  Args:
    source: [n, d], of length 1 each.
    output: [n, d], of the same frames.
    people: int [n], who is shown.
    times: int [n], the number of the frame in its sequence.
    strangers: [m, d], one source each of further people; m may be 0.
    gap: frames of one person are other ones if they are so far apart, at least.

  Raises:
    ValueError: shapes that do not go together.
  """
  source, output = np.asarray(source, np.float64), np.asarray(output, np.float64)
  if source.shape != output.shape or source.shape[:1] != np.shape(people):
    raise ValueError(
      f'{source.shape} sources, {output.shape} outputs, {np.shape(people)} people; expected [n, d] '
      'twice and [n].'
    )
  strangers = np.asarray(strangers, np.float64)
  if not len(strangers):
    strangers = np.zeros((0, source.shape[1]))
  if strangers.shape[1:] != source.shape[1:]:
    raise ValueError(f'strangers have shape {strangers.shape}; expected [m, {source.shape[1]}].')
  rows = list(_rows(source, output, people, times, strangers, gap))
  return Likenesses(*np.array(rows, np.float64).reshape(-1, 5).T)


def _rows(
  source: np.ndarray,
  output: np.ndarray,
  people: np.ndarray,
  times: np.ndarray,
  strangers: np.ndarray,
  gap: int,
) -> Iterator[tuple[float, ...]]:
  nan = float('nan')
  everybody = np.unique(people)
  for place, person in enumerate(people):
    near = source @ output[place]
    unknown = strangers @ output[place]
    apart = np.abs(times - times[place])
    mine = (people == person) & (apart >= gap)
    theirs = [near[people == other] for other in everybody if other != person]
    theirs += [unknown[each : each + 1] for each in range(len(unknown))]
    same, others, auc, hit = nan, nan, nan, nan
    if mine.any():
      same = float(near[mine].mean())
    if theirs:
      others = float(np.mean([each.mean() for each in theirs]))
    if mine.any() and theirs:
      auc = float(np.mean([_above(near[mine], each) for each in theirs]))
      farthest = near[mine][np.argmax(apart[mine])]
      hit = float(all(farthest > each[len(each) // 2] for each in theirs))
    yield float(near[place]), same, others, auc, hit


def _above(a: np.ndarray, b: np.ndarray) -> float:
  """Returns how often a number of `a` is above one of `b`, ties counting one half."""
  difference = a[:, None] - b[None]
  return float((difference > 0).mean() + (difference == 0).mean() / 2)


def summary(found: Likenesses, people: int, groups: np.ndarray) -> dict[str, Any]:
  """Sums up with 95 % intervals.

  Args:
    found: of each frame.
    people: how many there are, strangers included.
    groups: [n], frames that are drawn together.

  Returns:
    `own`, `same`, `others` and `auc`, means; `recall`, the share of hits; `chance` of a hit.
  """
  result: dict[str, Any] = {}
  for name in ('own', 'same', 'others', 'auc'):
    values = getattr(found, name)
    there = np.isfinite(values)
    result[name] = bootstrap_mean(values[there], groups=groups[there])
  there = np.isfinite(found.hit)
  result['recall'] = share_of(found.hit[there] > 0, groups[there])
  result['chance'] = 1 / people
  return result
