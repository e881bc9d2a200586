"""Metrics against the programs that defined them, on real pictures and weights given to both sides.

The measuring itself is in benchmarks/cross_checks.py, which prints the table of
benchmarks/results.md; the bars are those of metrics.md 7. VAL at FAR is compared in test_lfw.py,
SSIM on synthetic pictures in test_quality.py.
"""

import numpy as np
import pytest

pytest.importorskip('torch', reason='the references compute in PyTorch')
pytest.importorskip('skimage', reason='the reference of PSNR and SSIM')

import cross_checks
import inception_checks
import lpips_checks
import reference_networks

from anon_jax.evaluation.temporal_lpips import centre
from anon_jax.nets import alexnet, squeezenet, vgg

# What is filtered below are remarks of the references about their own code: clean-fid names
# Pillow's mode, which Pillow can tell by itself, and warns of nothing that is compared.
_PILLOW = 'ignore:.*mode.* parameter is deprecated:DeprecationWarning'


@pytest.fixture(autouse=True)
def _references():
  if reason := reference_networks.missing():
    pytest.skip(reason)


def _check(rows):
  for row in rows:
    assert row.error <= row.bar, row


@pytest.mark.filterwarnings(_PILLOW)
def test_clean_resizing_is_clean_fids_on_real_pictures(real_data):
  _check(inception_checks.resizing(real_data))


@pytest.mark.filterwarnings(_PILLOW)
def test_inception_features_and_both_distances_are_those_of_the_published_tools(
  real_data, tmp_path
):
  counts = {'clean': 32, 'legacy_pytorch': 4}
  found = inception_checks.inception_features(real_data, tmp_path, counts)
  for mode, features in found.items():
    # the pictures differ to the network, as they do to a trained one
    assert 0.2 < features.theirs[0].mean() < 0.8
    assert features.theirs[0].std(0).mean() > 0.1
    _check(inception_checks.inception_rows(mode, features, whole=False))
  # negative control: the two modes are not each other's
  pair = [found[mode].ours[0][:4] for mode in counts]
  assert np.abs(pair[0] - pair[1]).mean() > 1e-3


@pytest.mark.parametrize('network', ['alex', 'vgg', 'squeeze'])
def test_lpips_is_that_of_its_authors_package_at_all_sizes(real_data, tmp_path, network):
  found, wanted = lpips_checks.lpips_distances(network, real_data, tmp_path)
  assert len(wanted) >= 50
  assert np.median(wanted) > 0.01  # a hundred bars
  np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


def test_tlp_is_tecogans_on_three_clips(real_data, tmp_path):
  for ours, theirs in lpips_checks.tlp(real_data, tmp_path):
    assert theirs > 1e-4
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_psnr_and_ssim_are_scikit_images_on_real_pictures(real_data):
  _check(cross_checks.picture_quality(real_data))


def test_the_transcription_of_tlp_is_that_worked_by_hand():
  # a distance of means: steps of the input 0, of the output the differences of its frames
  target = np.zeros((8, 48, 48, 3), np.uint8)
  output = target + np.array([9, 9, 9, 0, 51, 51, 0, 0], np.uint8).reshape(-1, 1, 1, 1)

  def distance(a, b):
    assert a.shape == centre(target[0]).shape
    return abs(float(a.mean() - b.mean())) * 127.5

  # frames 2 to 5 are kept, and pairs (2, 3), (3, 4), (4, 5) count
  assert lpips_checks.tecogan_tlp(distance, target, output) == pytest.approx((9 + 51 + 0) / 3)


@pytest.mark.parametrize(
  ('name', 'shapes'),
  [
    ('alexnet', alexnet.TENSORS),
    ('vgg16', vgg.TENSORS_16),
    ('vgg19', vgg.TENSORS),
    ('squeezenet1_1', squeezenet.TENSORS['torchvision']),
  ],
)
def test_weight_files_are_expected_with_the_names_of_torchvisions_own_network(name, shapes):
  torch = pytest.importorskip('torch')
  with torch.device('meta'):  # no memory, no random numbers
    net = getattr(reference_networks.reference('torchvision.models'), name)(weights=None)
  found = {n: tuple(v.shape) for n, v in net.state_dict().items()}
  assert {n: v for n, v in found.items() if not n.startswith('classifier.')} == shapes
