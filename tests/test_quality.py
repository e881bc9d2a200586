"""L1, PSNR and SSIM inside the foreground, intervals and the report."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import skimage.metrics

from anon_jax.evaluation import intervals, quality, report


def _pair():
  """Two pictures that differ by .5 of [-1, 1] (a quarter of the range) inside a square only."""
  target = np.zeros((1, 32, 32, 3), np.float32)
  mask = np.zeros((1, 32, 32, 1), np.float32)
  mask[:, 8:24, 8:24] = 1
  return target, target + 0.5 * mask, mask


def test_l1_and_psnr_are_of_the_foreground_as_a_share_of_the_range():
  target, output, mask = _pair()
  np.testing.assert_allclose(quality.foreground_l1(target, output, mask), [0.25])
  np.testing.assert_allclose(
    quality.foreground_psnr(target, output, mask), [-10 * np.log10(0.0625)], rtol=1e-6
  )


def test_errors_outside_the_foreground_do_not_count():
  target, output, mask = _pair()
  outside = output + 0.3 * (1 - mask)
  for metric in (quality.foreground_l1, quality.foreground_psnr):
    np.testing.assert_allclose(metric(target, outside, mask), metric(target, output, mask))


def test_equal_pictures_have_the_best_values():
  target, _, mask = _pair()
  assert float(quality.foreground_l1(target, target, mask)[0]) == 0
  assert float(quality.foreground_psnr(target, target, mask)[0]) == pytest.approx(100)
  assert float(quality.foreground_ssim(target, target, mask)[0]) == pytest.approx(1)


def test_ssim_agrees_with_scikit_image_on_a_whole_picture():
  rng = np.random.default_rng(0)
  target = rng.uniform(-1, 1, (48, 48, 3)).astype(np.float32)
  output = np.clip(target + 0.3 * rng.normal(size=target.shape), -1, 1).astype(np.float32)
  _, their_map = skimage.metrics.structural_similarity(
    (target + 1) / 2,
    (output + 1) / 2,
    gaussian_weights=True,
    sigma=1.5,
    use_sample_covariance=False,
    data_range=1.0,
    channel_axis=-1,
    full=True,
  )
  # Borders are normalised here and mirrored there, so the inside is compared.
  mask = np.zeros((1, 48, 48, 1), np.float32)
  mask[:, 10:38, 10:38] = 1
  mine = quality.foreground_ssim(target[None], output[None], jnp.asarray(mask))
  assert float(mine[0]) == pytest.approx(their_map[10:38, 10:38].mean(), abs=2e-4)


def test_a_bootstrap_interval_holds_the_mean_and_narrows_with_more_values():
  rng = np.random.default_rng(1)
  few = intervals.bootstrap_mean(rng.normal(3, 1, 50))
  many = intervals.bootstrap_mean(rng.normal(3, 1, 5000))
  assert few['low'] < few['mean'] < few['high']
  # A normal mean's interval is 2 * 1.96 / sqrt(n) wide.
  assert many['high'] - many['low'] == pytest.approx(3.92 / 5000**0.5, rel=0.1)
  assert few['high'] - few['low'] == pytest.approx(3.92 / 50**0.5, rel=0.3)
  assert intervals.bootstrap_mean(np.ones(4)) == {'mean': 1.0, 'low': 1.0, 'high': 1.0}


def test_no_values_have_no_mean():
  assert np.isnan(intervals.bootstrap_mean(np.array([]))['mean'])


def _result():
  def row(mean):
    return {'mean': mean, 'low': mean - 0.01, 'high': mean + 0.01}

  pair = {'method': row(0.05), 'baseline': row(0.2)}
  return {'count': 12, 'without_foreground': 1, 'l1': pair, 'psnr': pair, 'ssim': pair}


def test_the_report_gives_both_rows_counts_and_intervals(tmp_path):
  path = report.write_report(tmp_path, 40, _result(), {'dataset': 'celeba', 'seed': 3})
  text = path.read_text()
  assert 'Step 40; 12 held-out pictures (dataset celeba, seed 3)' in text
  assert '| lower | 0.0500 [0.0400, 0.0600] | 0.2000 [0.1900, 0.2100] | 0.25 |' in text
  assert '1 pictures had no foreground' in text
  saved = json.loads((tmp_path / 'results.json').read_text())
  assert saved['step'] == 40
  assert saved['foreground']['l1']['method']['mean'] == 0.05
