"""Compares the metrics with their reference implementations and prints a table for results.md.

  python benchmarks/cross_checks.py DATA

DATA is the folder of real pictures that ANON_JAX_DATA names for tests/test_cross_checks.py, which
uses the same functions. Bars: metrics.md 7; the kernel distance has the bar of the FID, and PSNR
and SSIM have bars of ours.
"""

import pathlib
import sys
import tempfile

import numpy as np
import skimage.metrics
from inception_checks import Row, inception_features, inception_rows, own_rows, resizing
from lpips_checks import lpips_distances, tlp
from real_pictures import pairs_of, picture_files
from reference_networks import versions

from anon_jax.evaluation import quality
from anon_jax.nets import inception


def picture_quality(data: pathlib.Path) -> list[Row]:
  """PSNR and SSIM of whole pictures against scikit-image, worst of eight."""
  files, errors = picture_files(data)[0][:8], []
  a, b = pairs_of(files, 96, 128, 8)
  for target, output in zip(a, b, strict=True):
    whole, inside = np.ones((2, 1, 96, 128, 1), np.float32)
    inside[:, :10] = inside[:, -10:] = inside[:, :, :10] = inside[:, :, -10:] = 0
    unit = [(x.astype(np.float64) + 1) / 2 for x in (target, output)]
    psnr = skimage.metrics.peak_signal_noise_ratio(*unit, data_range=1.0)
    _, ssim = skimage.metrics.structural_similarity(
      *unit, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0,
      channel_axis=-1, full=True,
    )  # fmt: skip
    # At the border one is normalised and the other mirrored; inside, their window ends at 11 x 11
    # pixels and ours nowhere, which is most of what is left.
    errors.append(
      (
        abs(float(quality.foreground_psnr(target[None], output[None], whole)[0]) - psnr),
        abs(
          float(quality.foreground_ssim(target[None], output[None], inside)[0])
          - ssim[10:-10, 10:-10].mean()
        ),
      )
    )
  worst = np.max(errors, axis=0)
  return [
    Row('PSNR: abs, dB', 'scikit-image', float(worst[0]), 1e-3),
    Row('SSIM: abs', 'scikit-image', float(worst[1]), 1e-3),
  ]


def main() -> None:
  """Prints the table."""
  data, rows = pathlib.Path(sys.argv[1]), []
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    rows += resizing(data)
    counts = dict.fromkeys(inception.MODES, 32)
    found = inception_features(data, folder, counts)
    for mode, features in found.items():
      rows += inception_rows(mode, features)
    rows += own_rows(found['clean'])
    for network in ('alex', 'vgg', 'squeeze'):
      ours, theirs = lpips_distances(network, data, folder)
      what = f'LPIPS {network}, {len(theirs)} pairs of {theirs.min():.2g} to {theirs.max():.2g}'
      rows.append(Row(f'{what}: max abs', 'lpips', float(np.abs(ours - theirs).max()), 1e-4))
    error = max(abs(a - b) for a, b in tlp(data, folder))
    rows.append(Row('tLP, three clips: max abs', 'transcription with lpips', error, 1e-5))
    rows += picture_quality(data)
  print(versions())
  print('\n| what | reference | error | bar |\n|---|---|---|---|')
  for row in rows:
    print(f'| {row.what} | {row.reference} | {row.error:.1e} | {row.bar:g} |')


if __name__ == '__main__':
  main()
