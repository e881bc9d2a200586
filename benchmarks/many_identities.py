"""Paints one map as 32 control identities, with and without reusing what is taken from the map.

  python benchmarks/many_identities.py

Both programs take turns in one process; medians, the ratio pair by pair, the largest difference.
"""

import statistics
import time

import jax
import numpy as np

from anon_jax.nets.anonymization import HIDDEN, AnonymizationNet, widths_for

_IDENTITIES, _PEOPLE, _TURNS = 32, 234, 15


def main() -> None:
  """Prints one row."""
  net = AnonymizationNet(_PEOPLE, widths_for('small', 64), HIDDEN['small'])
  rng = np.random.default_rng(0)
  semantic_map = rng.integers(0, 8, (1, 64, 64), np.uint8)
  controls = np.eye(_PEOPLE, dtype=np.float32)[:_IDENTITIES]
  params = jax.jit(net.init)(jax.random.key(0), controls[:1], semantic_map)
  maps = semantic_map.repeat(_IDENTITIES, 0)
  plain = jax.jit(net.apply)

  @jax.jit
  def reused(params, controls, semantic_map):
    modulations = net.apply(params, semantic_map, method='modulations')
    return net.apply(params, modulations, controls, method='paint')

  runs = {
    'plain': lambda: plain(params, controls, maps),
    'reused': lambda: reused(params, controls, semantic_map),
  }
  off = np.abs(np.asarray(runs['plain']()) - np.asarray(runs['reused']())).max()
  seconds = {name: [] for name in runs}
  for _ in range(_TURNS):
    for name, run in runs.items():
      start = time.perf_counter()
      jax.block_until_ready(run())
      seconds[name].append(time.perf_counter() - start)
  one, many = (statistics.median(values) * 1000 for values in seconds.values())
  ratio = statistics.median(a / b for a, b in zip(*seconds.values(), strict=True))
  print(f'| {one:.0f} ms | {many:.0f} ms | {ratio:.2f} | {off:.1e} |')


if __name__ == '__main__':
  main()
