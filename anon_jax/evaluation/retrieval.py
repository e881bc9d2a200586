"""Recall@k: is a picture's identity among its nearest neighbours in a gallery?

Statistics are float64. Squared Euclidean distances decide; for embeddings of unit length that is
the order of their cosines. Work goes row block by row block, so that memory stays bounded.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from anon_jax.evaluation.intervals import bootstrap_mean

ROWS = 512  # queries compared at a time


def recall_at(
  embeddings: np.ndarray, labels: np.ndarray, ks: Sequence[int] = (1, 5), rows: int = ROWS
) -> dict[str, Any]:
  """Recall@k of every picture among all the others (metrics.md 5).

  A picture is kept from finding itself by its index, never by being nearest: a duplicate of
  another identity must count. A picture without another one of its identity cannot be found; it is
  counted in `without_match` and left out.

  Args:
    embeddings: float [n, d].
    labels: int [n], identities.
    ks: numbers of neighbours.
    rows: queries compared at a time.

  Returns:
    As `recall_in_gallery`.
  """
  own = np.arange(len(labels))
  return recall_in_gallery(embeddings, labels, embeddings, labels, ks, exclude=own, rows=rows)


def recall_in_gallery(
  queries: np.ndarray,
  query_labels: np.ndarray,
  gallery: np.ndarray,
  gallery_labels: np.ndarray,
  ks: Sequence[int] = (1, 5),
  *,
  exclude: np.ndarray | None = None,
  rows: int = ROWS,
) -> dict[str, Any]:
  """Share of queries whose identity is among their k nearest gallery pictures.

  Args:
    queries: as for `ranks_in_gallery`, like the others.
    query_labels: int [q].
    gallery: float [g, d].
    gallery_labels: int [g].
    ks: numbers of neighbours.
    exclude: int [q].
    rows: queries compared at a time.

  Returns:
    `count` of queries with a match in the gallery, `without_match`, and for each k `recall@k`:
    mean and 95 % bootstrap interval over queries.

  Raises:
    ValueError: shapes that do not fit, NaN or infinity, or k below 1.
  """
  if not ks or min(ks) < 1:
    raise ValueError(f'ks={list(ks)}; every k must be 1 or more.')
  nearer = ranks_in_gallery(
    queries, query_labels, gallery, gallery_labels, exclude=exclude, rows=rows
  )
  ranks = nearer[nearer >= 0]
  result: dict[str, Any] = {'count': len(ranks), 'without_match': len(nearer) - len(ranks)}
  for k in ks:
    result[f'recall@{k}'] = bootstrap_mean(ranks < k)
  return result


def ranks_in_gallery(
  queries: np.ndarray,
  query_labels: np.ndarray,
  gallery: np.ndarray,
  gallery_labels: np.ndarray,
  *,
  exclude: np.ndarray | None = None,
  rows: int = ROWS,
) -> np.ndarray:
  """For each query, how many gallery pictures of other identities are nearer than its own ones.

  Ties count against: a picture of another identity that is as near as the nearest own one counts.
  So embeddings that are all equal are found nowhere.

  Args:
    queries: float [q, d].
    query_labels: int [q].
    gallery: float [g, d].
    gallery_labels: int [g].
    exclude: int [q], the position in the gallery that each query must not be compared with (its
      source picture), -1 for none; None compares with all.
    rows: queries compared at a time.

  Returns:
    int [q]; -1 where the gallery has no picture of the query's identity.

  Raises:
    ValueError: shapes that do not fit, NaN or infinity.
  """
  queries, query_labels = checked('queries', queries, query_labels)
  gallery, gallery_labels = checked('gallery', gallery, gallery_labels)
  if queries.shape[1] != gallery.shape[1]:
    raise ValueError(
      f'Queries have {queries.shape[1]} dimensions, the gallery has {gallery.shape[1]}.'
    )
  if exclude is not None:
    exclude = np.asarray(exclude)
    if exclude.shape != query_labels.shape or exclude.max() >= len(gallery):
      raise ValueError(
        f'exclude has shape {exclude.shape} and goes up to {exclude.max(initial=-1)}; expected one '
        f'position in the gallery of {len(gallery)} for each of {len(queries)} queries.'
      )
  nearer = np.full(len(queries), -1)  # gallery pictures of others up to the nearest own one
  for block, distances in block_distances(queries, gallery, rows):
    own = query_labels[block, None] == gallery_labels[None, :]
    compared = np.ones_like(own)
    if exclude is not None:
      hidden = exclude[block]
      row = np.flatnonzero(hidden >= 0)
      compared[row, hidden[row]] = False
    best = np.where(own & compared, distances, np.inf).min(axis=1)
    count = (~own & compared & (distances <= best[:, None])).sum(axis=1)
    nearer[block] = np.where(np.isfinite(best), count, -1)
  return nearer


def checked(what: str, vectors: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns vectors float64 [n, d] and labels [n]; raises ValueError for anything else."""
  vectors, labels = np.asarray(vectors, np.float64), np.asarray(labels)
  if vectors.ndim != 2 or labels.shape != vectors.shape[:1] or not len(vectors):
    raise ValueError(
      f'The {what} have shape {vectors.shape} and labels of shape {labels.shape}; expected '
      f'[n, d] and [n].'
    )
  if not np.isfinite(vectors).all():
    raise ValueError(f'The {what} hold NaN or infinity.')
  return vectors, labels


def block_distances(
  queries: np.ndarray, gallery: np.ndarray, rows: int
) -> Iterator[tuple[slice, np.ndarray]]:
  """Yields blocks of queries and their squared distances to the gallery, float64 [rows, g].

  The distances are rounded to a grid that is far finer than the embeddings' own float32 rounding
  and coarser than that of the products here, so that equal embeddings are equally near.
  """
  own, others = (np.sum(np.square(vectors), axis=1) for vectors in (queries, gallery))
  grid = 2.0**-36 * max(own.max(), others.max()) or 1.0
  for start in range(0, len(queries), rows):
    block = slice(start, min(start + rows, len(queries)))
    squared = own[block, None] + others[None, :] - 2 * queries[block] @ gallery.T
    yield block, np.maximum(np.round(squared / grid), 0.0) * grid
