"""One of the processes that tests/test_processes.py starts: trains the toy stage of test_train.

Arguments: workdir, port (0: alone), number of processes, this process's number, steps, and options
`pause=SECONDS` (of an evaluation after each step), `seed=N`, `shard=N`.
"""

import pathlib
import signal
import sys
import time

import jax
import numpy as np
import test_train

from anon_jax import parallel, processes, train
from anon_jax.data import pipeline


def main() -> int:
  sys.modules['clu'] = None  # TensorFlow takes seconds to import, and nothing here reads its events
  workdir, port, count, index, steps = sys.argv[1], *map(int, sys.argv[2:6])
  options = dict(option.split('=') for option in sys.argv[6:])
  if port:
    processes.start(f'127.0.0.1:{port}', count, index)
  try:
    processes.require_alike({'config.seed': int(options.get('seed', 0))})
    share = pipeline.Shard(int(options.get('shard', index)), count)
    processes.require_shards(share.host, share.hosts)
  except processes.ProcessesError as error:
    print(f'anon_jax: {error}', file=sys.stderr)
    return 2
  view = pipeline.View(16, flip=True)
  source = test_train.Pictures()
  dataset = pipeline.train_dataset(source, view, batch_size=8, seed=3, shard=share, threads=1)
  folder = pathlib.Path(workdir)

  def evaluate(state, step):
    (folder / f'reached_{step}_{index}').touch()
    time.sleep(float(options.get('pause', 0)))
    return {'eval/w': 0.0}

  plan = train.Plan(steps, log_every=1, checkpoint_every=5, eval_every=1)
  outcome = train.train(
    train.Run(folder, plan, 8, 0, 5),
    test_train.STAGE,
    dataset,
    pipeline.eval_dataset(source, view, batch_size=2, count=2)[0],
    evaluate,
    parallel.make_mesh(),
  )
  print(f'step {outcome.step}')
  state = jax.device_get(outcome.state.replace(key=jax.random.key_data(outcome.state.key)))
  leaves = {str(n): leaf for n, leaf in enumerate(jax.tree.leaves(state))}
  np.savez(folder / f'final_{index}.npz', **leaves)
  return 128 + outcome.interrupted if outcome.interrupted else 0


if __name__ == '__main__':
  signal.signal(signal.SIGALRM, signal.SIG_DFL)
  signal.alarm(240)  # so that a failing test leaves nothing behind
  sys.exit(main())
