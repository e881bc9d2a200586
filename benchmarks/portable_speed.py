"""Times the exported chain in onnxruntime against JAX, on the shipped networks.

  python benchmarks/portable_speed.py MODELS/chain.onnx

Both compute the same function on the same drawn crops, with all cores, in turns; what is compared
is the median over turns of the ratio. Programs are compiled before.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import onnxruntime

from anon_jax import compiling
from anon_jax.inference import synthesis, weights
from anon_jax.inference.anonymizer import SHIPPED
from anon_jax.inference.portable import parity, programs


def main() -> None:
  """Prints the figures of each size of batch."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('model')
  parser.add_argument('--turns', type=int, default=9)
  parser.add_argument('--batches', type=int, nargs='+', default=[1, 4, 16])
  given = parser.parse_args()
  chain = programs.chain(synthesis.chosen(weights.load_weights(SHIPPED)))
  in_jax = compiling.jit(chain.function)
  session = onnxruntime.InferenceSession(given.model, providers=['CPUExecutionProvider'])
  print(f'{os.cpu_count()} cores; onnxruntime {onnxruntime.__version__}, JAX {jax.__version__}')
  for batch in given.batches:
    feed = parity.drawn(chain.inputs, batch)
    arrays = tuple(feed.values())
    seconds = np.empty((given.turns + 1, 2, 2))
    for turn in range(len(seconds)):
      seconds[turn, 0] = _timed(lambda a: jax.device_get(in_jax(*a)), arrays)
      seconds[turn, 1] = _timed(lambda f: session.run(None, f), feed)
    clock, cpu = np.moveaxis(seconds[1:], 2, 0)  # [turns 2]; the first turn compiles
    print(
      f'batch {batch}: faces/s JAX {batch / np.median(clock[:, 0]):.2f}, '
      f'ONNX {batch / np.median(clock[:, 1]):.2f}; '
      f'ONNX / JAX {np.median(clock[:, 1] / clock[:, 0]):.2f} by the clock, '
      f'{np.median(cpu[:, 1] / cpu[:, 0]):.2f} in CPU seconds'
    )


def _timed(run: Callable[[Any], Any], given: Any) -> tuple[float, float]:
  begun = time.perf_counter(), time.process_time()
  run(given)
  return time.perf_counter() - begun[0], time.process_time() - begun[1]


if __name__ == '__main__':
  main()
