"""An H that was trained on clips: exported for clips, or for pictures if it went frame by frame."""

import jax
import numpy as np
import pytest

from anon_jax import config as configs
from anon_jax import experiment, parallel, workdir
from anon_jax.checkpoints import Checkpoints
from anon_jax.inference import export, weights
from anon_jax.nets import harmonization
from anon_jax.nets.harmonization import WIDTHS, HarmonizationNet


def _run(folder, recurrent):
  """A workdir with random averages."""
  config = configs.tiny(configs.defaults('harmonize_video'))
  config.update({'image_size': 32, 'mesh_data': 1, 'weights_dir': '/nowhere'})
  config.update({'recurrent': recurrent, 'judged_frames': 3 if recurrent else 1})
  checked = configs.check(experiment.resolve(config), devices=1)
  folder.mkdir()
  built = experiment.build(checked, folder, parallel.make_mesh(1))
  workdir.write_facts(folder, checked.to_dict(), built.data)
  shapes = jax.eval_shape(lambda: built.stage.init(jax.random.key(0)))
  rng = np.random.default_rng(0)
  filled = jax.tree.map(
    lambda leaf: (rng.standard_normal(leaf.shape) / 4).astype(leaf.dtype), shapes.replace(key=None)
  )
  saved = Checkpoints(folder / 'checkpoints', 3)
  saved.save(1, filled.replace(key=jax.random.key(5)), iter(built.dataset))
  saved.close()
  return filled.ema['generator']


@pytest.mark.parametrize('recurrent', [True, False])
def test_what_was_shown_no_frame_before_it_is_exported_as_an_h_for_pictures(tmp_path, recurrent):
  params = _run(tmp_path / 'run', recurrent)
  export.export([tmp_path / 'run'], tmp_path / 'weights')
  net = weights.load_weights(tmp_path / 'weights').harmonization
  assert net.module.recurrent is recurrent
  rng = np.random.default_rng(1)
  mask, painted, condition, before = (rng.random((1, 32, 32, n), np.float32) for n in (1, 3, 3, 3))
  inputs = harmonization.recurrent_inputs(mask, painted, condition, before, np.zeros(1))
  wanted = HarmonizationNet(WIDTHS['tiny'], recurrent=True).apply({'params': params}, inputs)
  own = inputs if recurrent else harmonization.harmonizer_inputs(mask, painted, condition)
  found = net.module.apply({'params': net.params}, own)
  np.testing.assert_allclose(found, wanted, atol=0.02)  # float16
