"""Trains stages' test configs for 20 steps and writes their parameters; for `kill_training.py`.

python benchmarks/stages_alike.py FOLDER PORT PROCESSES NUMBER [STAGE...]   (PORT 0: alone)
"""

import pathlib
import sys

import jax
import numpy as np

from anon_jax import config as configs
from anon_jax import experiment, parallel, processes, train
from anon_jax.config.stages import STAGES


def main() -> None:
  """Trains one stage after the other."""
  folder, port, count, index = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:5])
  if port:
    processes.start(f'127.0.0.1:{port}', count, index)
  mesh = parallel.make_mesh()
  for stage in sys.argv[5:] or STAGES:
    config = configs.tiny(configs.defaults(stage))
    config.update(num_train_steps=20, checkpoint_every_steps=20, log_every_steps=20)
    for name in ('weights_dir', 'perceptual_network'):
      if name in config:
        config[name] = {'weights_dir': '/nowhere', 'perceptual_network': 'none'}[name]
    checked = configs.check(experiment.resolve(config), jax.device_count())
    built = experiment.build(checked, folder / stage, mesh)
    plan = experiment.make_plan(checked)
    run = train.Run(folder / stage, plan, checked.batch_size, checked.seed, 1)
    given = built.stage, built.dataset, built.samples, lambda state, step: {}
    outcome = train.train(run, *given, mesh)
    if outcome.interrupted:
      return
    params = {name: net.params for name, net in outcome.state.nets.items()}
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(params))
    if processes.is_first():
      named = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
      np.savez(folder / f'{stage}.npz', **named)


if __name__ == '__main__':
  main()
