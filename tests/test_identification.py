"""Recall@k and verification, against numbers worked by hand, ranks and SciPy."""

import tracemalloc

import numpy as np
import pytest
import scipy.stats

from anon_jax.evaluation import identification
from anon_jax.evaluation.identification import verification, verification_of_scores
from anon_jax.evaluation.retrieval import ranks_in_gallery, recall_at, recall_in_gallery


def _line(*positions):
  return np.array(positions, np.float32)[:, None]


def _clusters(identities=30, pictures=4, dimensions=8, noise=0.9, seed=0):
  """Unit-length embeddings around a centre per identity, and the identities."""
  rng = np.random.default_rng(seed)
  labels = np.repeat(np.arange(identities), pictures)
  centres = rng.standard_normal((identities, dimensions))
  vectors = centres[labels] + noise * rng.standard_normal((len(labels), dimensions))
  return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def _pair_scores(embeddings, labels):
  wide = embeddings.astype(np.float64)
  first, second = np.triu_indices(len(labels), 1)
  scores = -np.square(wide[first] - wide[second]).sum(axis=1)
  same = labels[first] == labels[second]
  return scores[same], scores[~same]


def test_recall_works_out_by_hand():
  # a a b b a on a line: the last a has both b nearer than any a, the others their own identity
  result = recall_at(_line(0, 1, 3, 4, 10), np.array([7, 7, 8, 8, 7]), ks=(1, 2, 3))
  assert result['count'] == 5
  assert result['without_match'] == 0
  assert [result[f'recall@{k}']['mean'] for k in (1, 2, 3)] == [0.8, 0.8, 1.0]
  assert result['recall@1']['low'] < 0.8 < result['recall@1']['high']


def test_a_picture_is_excluded_by_its_index_not_by_being_nearest():
  # Each picture has an exact duplicate under another identity: dropping "the nearest" could drop
  # the duplicate and keep the picture itself, which would score 1.
  result = recall_at(_line(0, 0, 5, 5), np.array([1, 2, 1, 2]), ks=(1, 2))
  assert result['recall@1']['mean'] == 0
  assert result['recall@2']['mean'] == 0.0  # the other identity's second picture is as near
  without = recall_at(_line(0, 0.1, 5, 6), np.array([1, 2, 1, 2]), ks=(2,))
  assert without['recall@2']['mean'] == 0.5  # from 0: .1, 5; from .1: 0, 5; from 5: 6, .1; ...


def test_embeddings_that_are_all_equal_find_nobody():
  vectors = np.full((12, 5), 0.1, np.float32) / 3
  result = recall_at(vectors, np.arange(12) // 4)
  assert result['recall@1']['mean'] == result['recall@5']['mean'] == 0
  assert verification(vectors, np.arange(12) // 4)['auc'] == 0.5


def test_a_picture_alone_of_its_identity_is_counted_and_left_out():
  result = recall_at(_line(0, 1, 9), np.array([1, 1, 2]))
  assert (result['count'], result['without_match']) == (2, 1)
  assert result['recall@1']['mean'] == 1


def test_recall_is_that_of_sorted_distances():
  embeddings, labels = _clusters()
  wide = embeddings.astype(np.float64)
  distances = np.square(wide[:, None] - wide[None]).sum(-1)
  np.fill_diagonal(distances, np.inf)
  nearest = labels[np.argsort(distances, axis=1)]
  result = recall_at(embeddings, labels, ks=(1, 5), rows=7)
  for k in (1, 5):
    wanted = (nearest[:, :k] == labels[:, None]).any(axis=1).mean()
    assert 0.2 < wanted < 1
    assert result[f'recall@{k}']['mean'] == pytest.approx(wanted, abs=1e-12)


def test_a_query_is_not_compared_with_its_source():
  gallery, labels = _line(0, 4, 5), np.array([1, 2, 1])
  query = _line(0.5)
  found = recall_in_gallery(query, np.array([1]), gallery, labels, (1,))
  hidden = recall_in_gallery(query, np.array([1]), gallery, labels, (1,), exclude=np.array([0]))
  none = recall_in_gallery(query, np.array([1]), gallery, labels, (1,), exclude=np.array([-1]))
  assert found['recall@1']['mean'] == none['recall@1']['mean'] == 1
  assert hidden['recall@1']['mean'] == 0


def test_ranks_count_who_is_nearer_than_the_nearest_own_picture():
  gallery, labels = _line(1, 2, 3, 3, 9), np.array([1, 2, 3, 4, 3])
  found = ranks_in_gallery(_line(0, 0, 0, 0, 0), np.array([1, 2, 3, 4, 5]), gallery, labels)
  # 3 and 4 are equally near: each counts against the other; nobody is 5
  assert found.tolist() == [0, 1, 3, 3, -1]


def test_verification_works_out_by_hand():
  result = verification_of_scores([0.3, 0.9, 0.8], [0.7, 0.3, 0.1, 0.0], fars=(0, 0.25, 0.5))
  # .9 and .8 beat four impostors each, .3 beats two and ties with one: 10.5 of 12 pairs
  assert result['auc'] == pytest.approx(10.5 / 12)
  assert (result['genuine'], result['impostor']) == (3, 4)
  # thresholds above .7, at .7 and at .3 accept 0, 1 and 2 of 4 impostors
  assert result['tar@0'] == pytest.approx(2 / 3)
  assert result['tar@0.25'] == pytest.approx(2 / 3)
  assert result['tar@0.5'] == 1
  # from (FAR, FRR) = (1/4, 1/3) to (1/2, 0): 1/4 + t / 4 = 1/3 - t / 3 at t = 1/7
  assert result['eer'] == pytest.approx(2 / 7)


@pytest.mark.parametrize(
  ('genuine', 'impostor', 'auc', 'eer'),
  [
    ([2, 3], [0, 1], 1, 0),
    ([0, 1], [2, 3], 0, 1),
    ([1, 1], [1, 1, 1], 0.5, 0.5),
    ([1, 3], [0, 2], 0.75, 0.5),
    ([5], [5, 1], 0.75, 1 / 3),
  ],
)
def test_the_extremes_of_verification(genuine, impostor, auc, eer):
  result = verification_of_scores(genuine, impostor)
  assert result['auc'] == auc
  assert result['eer'] == pytest.approx(eer)


@pytest.mark.parametrize('digits', [1, 9])  # with many ties, and with none
def test_auc_is_the_rank_sum_and_scipys_u(digits):
  rng = np.random.default_rng(1)
  genuine = rng.normal(1, 1, 300).round(digits)
  impostor = rng.normal(0, 1, 2000).round(digits)
  result = verification_of_scores(genuine, impostor)
  ranks = scipy.stats.rankdata(np.concatenate([genuine, impostor]))
  by_rank = (ranks[:300].sum() - 300 * 301 / 2) / (300 * 2000)
  u = scipy.stats.mannwhitneyu(genuine, impostor).statistic / (300 * 2000)
  assert result['auc'] == pytest.approx(by_rank, abs=1e-12)
  assert result['auc'] == pytest.approx(u, abs=1e-12)


def test_tar_and_eer_are_those_of_a_sweep_over_thresholds():
  rng = np.random.default_rng(2)
  genuine, impostor = rng.normal(1.5, 1, 400), rng.normal(0, 1, 3000)
  result = verification_of_scores(genuine, impostor, fars=(0.1, 0.01, 1e-3))
  thresholds = np.sort(np.concatenate([genuine, impostor, [np.inf]]))
  far = np.array([(impostor >= t).mean() for t in thresholds])
  tar = np.array([(genuine >= t).mean() for t in thresholds])
  for limit in (0.1, 0.01, 1e-3):
    assert result[f'tar@{limit:g}'] == tar[far <= limit].max()
  closest = np.argmin(np.abs(far - (1 - tar)))
  assert result['eer'] == pytest.approx(far[closest], abs=1 / 400)


def test_a_false_accept_rate_that_is_just_reached_counts():
  # 29 of 100 accepted; .29 * 100 is 28.999999999999996 in float64
  impostor = np.concatenate([np.full(29, 2.0), np.zeros(71)])
  assert verification_of_scores([1.0], impostor, fars=(0.29,))['tar@0.29'] == 1


@pytest.mark.parametrize('rows', [1, 7, 1000])
def test_all_pairs_count_once_whatever_the_block_size(rows):
  embeddings, labels = _clusters()
  genuine, impostor = _pair_scores(embeddings, labels)
  wanted = verification_of_scores(genuine, impostor)
  result = verification(embeddings, labels, rows=rows)
  assert (result['genuine'], result['impostor']) == (30 * 6, 120 * 119 // 2 - 30 * 6)
  for name, value in wanted.items():
    assert result[name] == pytest.approx(value, abs=1e-9), name
  assert 0.7 < result['auc'] < 0.999


def test_scaling_all_embeddings_changes_nothing():
  embeddings, labels = _clusters()
  small = verification(embeddings * np.float32(2**-20), labels)
  assert small == verification(embeddings, labels)


def test_memory_stays_bounded():
  embeddings, labels = _clusters(identities=400, pictures=4)
  tracemalloc.start()
  verification(embeddings, labels, rows=32)
  recall_at(embeddings, labels, rows=32)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 7e6, peak  # the matrix of all 1600^2 distances alone has 20 MB


def test_input_that_cannot_be_measured_is_refused():
  vectors, labels = _line(0, 1, 2), np.array([1, 1, 2])
  with pytest.raises(ValueError, match=r'labels of shape \(2,\); expected \[n, d\] and \[n\]'):
    recall_at(vectors, labels[:2])
  with pytest.raises(ValueError, match='hold NaN or infinity'):
    recall_at(_line(0, np.nan, 1), labels)
  with pytest.raises(ValueError, match=r'ks=\[0\]; every k'):
    recall_at(vectors, labels, ks=(0,))
  with pytest.raises(ValueError, match='Queries have 1 dimensions, the gallery has 2'):
    recall_in_gallery(vectors, labels, np.zeros((3, 2)), labels)
  for exclude in (np.array([0]), np.array([0, 1, 3])):
    with pytest.raises(ValueError, match='one position in the gallery of 3'):
      recall_in_gallery(vectors, labels, vectors, labels, exclude=exclude)
  with pytest.raises(ValueError, match='0 genuine and 3 impostor pairs; verification needs both'):
    verification(vectors, np.arange(3))
  with pytest.raises(ValueError, match='3 genuine and 0 impostor pairs'):
    verification(vectors, np.zeros(3, int))
  with pytest.raises(ValueError, match='genuine scores hold NaN'):
    verification_of_scores([np.nan], [0.0])
  with pytest.raises(ValueError, match='impostor scores hold NaN'):
    verification_of_scores([0.0], [np.nan])
  with pytest.raises(ValueError, match=r'fars=\[2\]; expected shares'):
    verification_of_scores([1.0], [0.0], fars=(2,))


def test_the_rates_of_the_paper_are_the_default():
  assert identification.FARS == (1e-2, 1e-3)
  assert {'tar@0.01', 'tar@0.001'} <= verification_of_scores([1.0], [0.0]).keys()


def test_the_accept_threshold_is_the_cosine_that_a_share_of_strangers_exceeds():
  """Five people at the corners of angles whose cosines are known; two pictures of the first."""
  angles = np.radians([0, 0, 10, 30, 60, 100])
  embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
  labels = np.array([7, 7, 1, 2, 3, 4])
  # 14 pairs of two people; the nearest are twice 10 degrees apart, then 20, then 30, 30, 30
  cosine = lambda degrees: np.cos(np.radians(degrees))  # noqa: E731
  for far, degrees in ((0.01, 10), (0.1, 10), (2 / 14 + 1e-9, 20), (3 / 14 + 1e-9, 30)):
    for rows in (2, 100):
      found = identification.accept_threshold(embeddings, labels, far, rows)
      assert found == pytest.approx(cosine(degrees), abs=1e-9), far
  with pytest.raises(ValueError, match='No pair of two identities'):
    identification.accept_threshold(embeddings, np.zeros(6, int), 0.1)


def test_the_share_above_the_accept_threshold_is_never_more_than_asked_for():
  rng = np.random.default_rng(0)
  embeddings = rng.normal(size=(200, 5))
  embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
  labels = rng.integers(0, 30, 200)
  cosines = (embeddings @ embeddings.T)[np.triu_indices(200, 1)]
  strangers = (labels[:, None] != labels[None])[np.triu_indices(200, 1)]
  for far in (1e-3, 1e-2, 0.2):
    threshold = identification.accept_threshold(embeddings, labels, far, 37)
    above = (cosines[strangers] > threshold + 1e-9).mean()
    assert far - 1.5 / strangers.sum() < above <= far
