"""The PyTorch networks and steps that benchmarks/bench.py measures against compute what ours do.

Both sides get the same parameters; a step gets the same example too, for draws cannot be alike.
"""

import pytest

pytest.importorskip('torch', reason='the twins are written in PyTorch')

import jax
import jax.numpy as jnp
import numpy as np
import torch
from speed import stages, torch_side
from speed.chain import Chain
from speed.entries import ENTRIES, batch_of
from twin import augmentation, copying
from twin.discriminator import MultiScaleDiscriminator
from twin.generator import Generator
from twin.harmonizer import Harmonizer
from twin.identity import Identity
from twin.segmenter import Segmenter
from twin.squeezenet import SqueezeNet

from anon_jax.nets import anonymization, discriminator, harmonization, identity, segmentation
from anon_jax.nets import squeezenet as squeezenets
from anon_jax.steps.augmentation import augment

_FAR = 500  # steps: behind the start of every term, and of the averages' warm-up


def _random(*shape):
  return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def _perturbed(params):
  """Moves every parameter: a bias of zero or a scale of one would hide where it belongs."""
  rng = np.random.default_rng(1)
  return jax.tree.map(
    lambda leaf: np.asarray(leaf) + 0.1 * rng.standard_normal(leaf.shape, np.float32), params
  )


def _nchw(x):
  x = torch.from_numpy(np.array(x))
  return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def _same(ours, theirs, bar=1e-4):
  theirs = theirs.detach().permute(0, 2, 3, 1) if theirs.ndim == 4 else theirs.detach()
  assert ours.shape == tuple(theirs.shape)
  assert np.abs(np.asarray(ours)).max() > 1e-2
  np.testing.assert_allclose(ours, theirs.numpy(), atol=bar, rtol=bar)


def _networks():
  maps = np.random.default_rng(0).integers(0, 8, (2, 32, 32)).astype(np.uint8)
  who = np.eye(5, dtype=np.float32)[[3, 1]]
  picture = _random(2, 32, 32, 3)
  widths = (16, 12, 8, 8)
  return {
    'A': (anonymization.AnonymizationNet(5, widths, 8), Generator(5, widths, 8, 8), (who, maps)),
    'A, bilinear': (
      anonymization.AnonymizationNet(5, widths, 8, bilinear=True),
      Generator(5, widths, 8, 8, bilinear=True),
      (who, maps),
    ),
    'H': (harmonization.HarmonizationNet((8, 12)), Harmonizer((8, 12)), (_random(2, 32, 32, 7),)),
    'S': (segmentation.SegmentationNet((8, 12)), Segmenter((8, 12), 8), (picture,)),
    'I': (identity.IdentityNet((8, 16)), Identity((8, 16), 128, 32), (picture,)),
    'D': (
      discriminator.MultiScaleDiscriminator(2, 8, 2, smooth=True, identities=5),
      MultiScaleDiscriminator(11, 2, 8, 2, True, 5),
      (picture, [_random(2, 32, 32, 8)], who),
    ),
    'SqueezeNet': (squeezenets.SqueezeNet('keras'), SqueezeNet(), (_random(2, 64, 64, 3),)),
  }


@pytest.mark.parametrize('name', ['A', 'A, bilinear', 'H', 'S', 'I', 'D', 'SqueezeNet'])
def test_a_twin_has_our_parameters_and_gives_our_outputs(name):
  net, twin, inputs = _networks()[name]
  params = _perturbed(jax.jit(net.init)(jax.random.key(0), *inputs)['params'])
  copying.fill(twin, params)  # strict: all names and shapes
  assert copying.count(twin) == sum(leaf.size for leaf in jax.tree.leaves(params))
  ours = jax.jit(net.apply)({'params': params}, *inputs)
  twin = twin.to(memory_format=torch.channels_last)
  theirs = twin(*jax.tree.map(_nchw, inputs))
  if not isinstance(theirs, list):
    ours, theirs = [ours], [theirs]
  assert len(ours) == len(theirs)
  for own, other in zip(ours, theirs, strict=True):
    # SqueezeNet's taps are as large as its inputs, which reach 255
    scale = max(1.0, float(np.abs(own).max())) if name == 'SqueezeNet' else 1.0
    _same(own / scale, other / scale)


def _pair(name):
  """Returns stage, state and twin with equal parameters, and the batch of an entry."""
  entry = ENTRIES[name].quick()
  stage, spec = stages.build(entry)
  state = jax.jit(stage.init)(jax.random.key(0))
  nets = {
    name: net.replace(params=_perturbed(net.params)) if name != 'centring' else net
    for name, net in state.nets.items()
  }
  state = state.replace(nets=nets, frozen=stage.frozen, step=jnp.int32(_FAR))
  twin = torch_side.build(spec)
  for part, net in twin.nets.items():
    params = stage.frozen['perceptual'] if part == 'perceptual' else nets[part].params
    copying.fill(net, params)
  for part, average in twin.averages.items():
    copying.fill(average, state.ema[part])
  twin.done = _FAR
  return stage, state, twin, batch_of(entry)


def _check_update(stage, state, twin, batch, ex, bar=2e-3):
  """Compares metrics, gradients (Adam's averages of them), parameters and running averages."""
  new, ours = jax.jit(stage.step)(state, batch)
  theirs = twin.update(ex)
  assert set(theirs) == set(ours)
  for name, value in ours.items():
    assert float(theirs[name]) == pytest.approx(float(value), rel=bar, abs=1e-5), name
  for part, optimizer in twin.optimizers.items():
    moved = new.nets[part]
    gradients, params = moved.opt_state[0].mu, copying.flattened(moved.params)
    for name, leaf in copying.flattened(gradients).items():
      parameter = twin.nets[part].get_parameter(name)
      found = optimizer.state[parameter]['exp_avg'].numpy()
      np.testing.assert_allclose(found, leaf, atol=bar * np.abs(leaf).max() + 1e-7, err_msg=name)
      # a rate's length, whatever the gradient: where that is rounding the sign may differ
      off = np.abs(parameter.detach().numpy() - params[name])
      assert np.mean(off > 1e-5) < 0.02, name
  for part, average in twin.averages.items():
    for name, leaf in copying.flattened(new.ema[part]).items():
      off = np.abs(average.get_parameter(name).numpy() - leaf)
      assert np.mean(off > 1e-5) < 0.02, name


def test_a_step_of_a_and_i_updates_all_three_networks_as_ours_does():
  stage, state, twin, batch = _pair('anonymize-small')
  key = jax.random.fold_in(state.key, state.step)
  given = jax.jit(stage.step.__self__._example)(key, state.step, batch)
  assert given['own'].any() and not given['own'].all()
  ex = {
    **{name: _nchw(given[name]) for name in ('map', 'classes', 'mask', 'real', 'own')},
    **{name: _nchw(given[name]) for name in ('identity', 'control')},
    **{
      name: tuple(_nchw(rows).long() for rows in given[name])
      for name in ('partners', 'real_partners')
    },
    'changes': tuple(None if part is None else _nchw(part) for part in given['changes']),
  }
  drawn = twin.example(twin.place(batch))
  assert {name: getattr(rows, 'shape', None) for name, rows in drawn.items()} == {
    name: getattr(rows, 'shape', None) for name, rows in ex.items()
  }
  for name in ('map', 'classes', 'mask', 'real', 'identity'):
    torch.testing.assert_close(drawn[name], ex[name])
  _check_update(stage, state, twin, batch, ex)


def test_a_step_of_h_updates_both_networks_as_ours_does():
  stage, state, twin, batch = _pair('harmonize-small')
  key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), 0)
  given = jax.jit(stage.step.__self__.example)(key, batch)
  made = twin.example(twin.place(batch))
  for name in ('target', 'mask', 'condition', 'reachable'):  # what is not drawn
    _same(given[name], made[name])
  ex = {name: _nchw(given[name]) for name in made}
  _check_update(stage, state, twin, batch, ex)


def test_a_step_of_i_updates_it_and_its_proxies_as_ours_does():
  stage, state, twin, batch = _pair('identity-small')
  _check_update(stage, state, twin, batch, twin.example(twin.place(batch)))


def test_a_step_of_s_updates_it_as_ours_does():
  stage, state, twin, batch = _pair('segment-small')
  batch['map'][0, :4] = 255  # nobody labelled these
  task = stage.step.__self__
  task._o = type(task._o)(**{**vars(task._o), 'colour': 0.0, 'occluded': 0.0})
  twin.options |= {'colour': 0.0, 'occluded': 0.0}
  _check_update(stage, state, twin, batch, twin.example(twin.place(batch)))


def test_the_chain_gives_our_crops():
  entry = ENTRIES['chain-small'].quick()
  chain = Chain(entry)
  params = {name: _perturbed(net) for name, net in jax.jit(chain.init)(jax.random.key(0)).items()}
  twin = torch_side.build(chain.spec)
  for name, net in twin.nets.items():
    copying.fill(net, params[name])
  batch = batch_of(entry)
  ours = np.asarray(jax.jit(chain.run)(params, batch)).astype(int)
  theirs = twin.step(twin.place(batch)).numpy().astype(int)
  assert ours.shape == theirs.shape == batch['image'].shape
  assert (ours != batch['image']).any()
  # a score that is another class's by rounding may move a pixel
  assert np.mean(np.abs(ours - theirs) > 1) < 0.005


def test_augmentation_of_both_sides_has_the_same_strength():
  rng = np.random.default_rng(0)
  pictures = rng.uniform(-1, 1, (256, 16, 16, 3)).astype(np.float32)
  maps = rng.integers(1, 8, (256, 16, 16)).astype(np.uint8)
  ours, own_maps = augment(jax.random.key(0), pictures, maps, 0.3, 0.3)
  torch.manual_seed(0)
  theirs, their_maps = augmentation.augment(_nchw(pictures), _nchw(maps), 0.3, 0.3)
  assert float(theirs.std()) == pytest.approx(float(ours.std()), rel=0.05)
  covered, their_covered = np.mean(own_maps == 0), float((their_maps == 0).float().mean())
  assert covered == pytest.approx(their_covered, rel=0.25)
