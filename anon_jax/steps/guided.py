"""What stages share whose networks paint control identities, guided by I (paper 3.3, eq. 1, 3)."""

import abc
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from anon_jax import optim, proxy
from anon_jax.data import joints
from anon_jax.data.joint_heatmaps import heatmaps
from anon_jax.losses import adversarial, diffaugment
from anon_jax.nets import blocks
from anon_jax.nets.anonymization import Modulations, coarsened, masked
from anon_jax.proxy import to_signed
from anon_jax.state import TrainState
from anon_jax.steps import collapse, controls, guided_losses
from anon_jax.steps.guided_losses import Judge
from anon_jax.steps.guided_parts import GuidedOptions, Nets
from anon_jax.steps.stage import Batch, Metrics, Stage

Seen = dict[str, Any]


class Painter(NamedTuple):
  """A network that paints, and the letter under which it is logged."""

  net: nn.Module
  letter: str


class Guided(abc.ABC):
  """The pure functions of such a stage; a stage adds what is painted and what is judged.

  `painters` and `judges` are networks by name. The judge 'discriminator' sees the faces that L_id
  is taken of; the last judge sees the final pictures, which the terms of own-identity
  reconstruction hold to the real ones.
  """

  def __init__(self, nets: Nets, options: GuidedOptions):
    o = options
    self._nets, self._o = nets, o
    self.painters = {'generator': Painter(nets.generator, 'g')}
    self.judges = {'discriminator': Judge(nets.discriminator, 'd', 'g')}
    self._gen_tx = optim.adam(o.generator_lr, o.adam_b1, o.adam_b2, o.decay_steps, o.accumulate)
    self._disc_tx = optim.adam(
      o.discriminator_lr, o.adam_b1, o.adam_b2, o.decay_steps, o.accumulate
    )
    self._id_tx = optim.adam(o.identity_lr, o.adam_b1, o.adam_b2, o.decay_steps, o.accumulate)
    count = nets.generator.identities
    spread = np.linspace(0, count - 1, min(o.sample_controls, count))
    self.shown = [int(place) for place in np.round(spread)]

  @abc.abstractmethod
  def see(self, batch: Batch) -> Seen:
    """Adds to `basics` what this stage takes from a batch, and `judged`: Judged by judge."""

  @abc.abstractmethod
  def paint(
    self, params: Any, seen: Seen, modulations: Modulations, mixtures: jax.Array
  ) -> dict[str, jax.Array]:
    """Paints n pictures of one or of n maps, [n, s, s, 3]; by the name of who judges them."""

  def read(self, params: Any, seen: Seen) -> Modulations:
    """Computes all that A takes from the pictures; it serves any control identity."""
    inputs = seen['map'], seen.get('joints')
    return self.apply('generator', params, *inputs, method='modulations')

  def starts(self, seen: Seen) -> dict[str, tuple[Any, ...]]:
    """Returns by name what each painter is initialised with."""
    beside = [seen['joints']] if 'joints' in seen else []
    return {'generator': (jnp.zeros((1, self._nets.generator.identities)), seen['map'], *beside)}

  def apply(self, name: str, params: Any, *inputs: Any, **options: Any) -> Any:
    """Runs a painter with its share of `params`."""
    return self.painters[name].net.apply({'params': params[name]}, *inputs, **options)

  def stage(self, name: str, identity_params: Any, perceptual_params: Any) -> Stage:
    """Hands the functions to the training loop."""
    return Stage(
      name=name,
      init=self.init,
      step=self.step,
      predict=self.predict,
      columns=('source', 'foreground', *(f'control {c}' for c in self.shown)),
      frozen={'perceptual': perceptual_params} if self._nets.perceptual else {},
      initial={} if identity_params is None else {'identity': identity_params},
      paint=self.pictures,
      embed=self.embed,
    )

  def init(self, key: jax.Array) -> TrainState:
    side = self._o.image_size
    images = jnp.zeros((1, side, side // self._o.aspect, 3), jnp.uint8)
    nobody = jnp.asarray(joints.none())[None]
    seen = self.see({'image': images, 'map': images[..., 0], 'joints': nobody})
    starts = self.starts(seen)
    root, *rest = jax.random.split(key, 2 + len(starts) + len(self.judges))
    keys, nets = iter(rest), {}
    for name, inputs in starts.items():
      params = self.painters[name].net.init(next(keys), *inputs)['params']
      nets[name] = optim.new_net(params, self._gen_tx)
    for name, judge in self.judges.items():
      real, conditions = seen['judged'][name]
      told = jnp.zeros((1, judge.net.identities)) if judge.net.identities else None
      params = judge.net.init(next(keys), real, conditions, told)['params']
      nets[name] = optim.new_net(params, self._disc_tx)
    params = self._nets.identity.init(next(keys), self._for_identity(seen['real']))['params']
    nets['identity'] = optim.new_net(params, self._id_tx)
    averaged = (*starts, 'identity')
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      key=root,
      nets=nets,
      ema={name: optim.copy(nets[name].params) for name in averaged},
    )

  def step(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    ex = self._example(jax.random.fold_in(state.key, state.step), state.step, batch)
    nets: dict[str, Any] = dict(state.nets)
    metrics: Metrics = {}
    painters = {name: nets[name].params for name in self.painters}
    # One forward pass serves all updates: the judges learn from `fakes`, then the gradient of the
    # painters is pulled back through the same pass.
    fakes, pull_back = jax.vjp(
      lambda params: self.paint(params, ex, self.read(params, ex), ex['control']), painters
    )
    judge_loss = jax.value_and_grad(guided_losses.discriminator_loss, has_aux=True)
    for name, judge in self.judges.items():
      judged = ex['judged'][name]
      (_, terms), grads = judge_loss(nets[name].params, judge, judged, fakes[name], ex, self._o)
      nets[name] = optim.update(nets[name], grads, self._disc_tx)
      metrics |= {**terms, f'{judge.letter}_grad_norm': optim.norm(grads)}
      faces = fakes[name] * ex['mask'], judged.real * ex['mask']
      metrics |= collapse.diversity(*faces, judge.opponent)
    judges = {name: nets[name].params for name in self.judges}
    # L_id is minimised by both, A through `fakes` and I by its parameters: one loss, two gradients.
    loss = jax.value_and_grad(self._painters_loss, argnums=(0, 1), has_aux=True)
    (_, terms), (d_fakes, i_grads) = loss(fakes, nets['identity'].params, judges, state.frozen, ex)
    (grads,) = pull_back(d_fakes)
    metrics |= terms
    for name, (_, letter) in self.painters.items():
      nets[name] = optim.update(nets[name], grads[name], self._gen_tx)
      metrics[f'{letter}_grad_norm'] = optim.norm(grads[name])
    nets['identity'] = optim.update(nets['identity'], i_grads, self._id_tx)
    metrics['i_grad_norm'] = optim.norm(i_grads)
    ema = {
      name: optim.update_average(average, nets[name].params, state.step, self._o.ema_decay)
      for name, average in state.ema.items()
    }
    return state.replace(step=state.step + 1, nets=nets, ema=ema), metrics

  def predict(self, state: TrainState, batch: Batch) -> dict[str, jax.Array]:
    seen = self.see(batch)
    # What A takes from the pictures serves every column.
    modulations = self.read(state.ema, seen)
    shown = {'source': seen['image'], 'foreground': seen['real'], 'mask': seen['mask']}
    for control in self.shown:
      classes = jnp.full(len(seen['image']), control)
      mixtures = jax.nn.one_hot(classes, self._nets.generator.identities)
      shown[f'control {control}'] = self._pasted(state.ema, seen, modulations, mixtures)
    return shown

  def pictures(self, params: Any, batch: Batch, mixtures: jax.Array) -> jax.Array:
    """Paints the final pictures of one picture or of n, as n mixtures [n, identities].

    Args:
      params: averaged parameters by network name.
      batch: `image` uint8, `map` uint8 and, where A reads them, `joints` of 1 or n pictures.
      mixtures: control identities.

    Returns:
      float32 [n, s, s, 3] in [-1, 1].
    """
    seen = self.see(batch)
    return self._pasted(params, seen, self.read(params, seen), mixtures)

  def embed(self, params: Any, batch: Batch) -> jax.Array:
    """Embeds the foregrounds of a batch by the averaged I."""
    faces = self._for_identity(self.see(batch)['real'])
    found: Any = self._nets.identity.apply({'params': params['identity']}, faces)
    return found

  def _for_identity(self, faces: jax.Array) -> jax.Array:
    """Reduces foregrounds to the height that I reads."""
    while self._o.identity_size and faces.shape[1] > self._o.identity_size:
      faces = blocks.downsample(faces)
    return faces

  def basics(self, batch: Batch) -> Seen:
    """Returns what every stage takes from a batch; `real` is the masked foreground."""
    images, mask = to_signed(batch['image']), proxy.foreground_mask(batch['map'])
    # D sees what A was told, not more.
    maps = coarsened(batch['map']) if self._nets.generator.coarse else batch['map']
    classes = jax.nn.one_hot(maps, self._nets.generator.classes)
    real = masked(images, mask)
    seen = {'map': maps, 'classes': classes, 'mask': mask, 'image': images, 'real': real}
    if self._o.joint_sigma:
      height, width = maps.shape[1:]
      sigma = self._o.joint_sigma * height
      seen['joints'] = heatmaps(batch['joints'], height, width, sigma)
    return seen

  def _pasted(
    self, params: Any, seen: Seen, modulations: Modulations, mixtures: jax.Array
  ) -> jax.Array:
    painted = self.paint(params, seen, modulations, mixtures)[list(self.judges)[-1]]
    return jnp.where(seen['mask'] > 0, painted, seen['image'])

  def _example(self, key: jax.Array, step: jax.Array, batch: Batch) -> dict[str, Any]:
    """All that the losses of one step need beside parameters and what is painted."""
    o = self._o
    control_key, partner_key, real_key, augment_key = jax.random.split(key, 4)
    classes, count = batch['identity_class'], batch['identity_class'].shape[0]
    own_rows = jnp.where(
      step < o.adversarial_from_step, count, round(o.reconstruction_share * count)
    )
    chosen = controls.draw_controls(control_key, classes, o.identities_per_batch, own_rows)
    return self.see(batch) | {
      'own': chosen.own,
      'identity': jax.nn.one_hot(classes, self._nets.generator.identities),
      'control': jax.nn.one_hot(chosen.control, self._nets.generator.identities),
      'partners': controls.draw_partners(partner_key, chosen.control, classes),
      'real_partners': controls.draw_partners(real_key, classes, classes),
      'changes': diffaugment.draw(
        jax.random.split(augment_key, count), o.image_size, o.augment, o.aspect
      ),
      'adversarial_weight': jnp.where(step < o.adversarial_from_step, 0.0, o.adversarial_weight),
    }

  def _painters_loss(
    self,
    fakes: dict[str, jax.Array],
    id_params: Any,
    judges: dict[str, Any],
    frozen: Any,
    ex: dict[str, Any],
  ) -> tuple[jax.Array, Metrics]:
    """Eq. 1 as a function of what is painted and of I: one gradient serves all its terms."""
    o, terms, total = self._o, {}, jnp.zeros(())
    for name, judge in self.judges.items():
      logits = judge(judges[name], fakes[name], ex['judged'][name], ex['control'], ex['changes'])
      term = terms[f'{judge.opponent}_adversarial'] = adversarial.lsgan_generator(logits)
      total += ex['adversarial_weight'] * term
    if o.identity_weight:
      pictures = masked(fakes['discriminator'], ex['mask']), ex['real']
      painted, real = (self._for_identity(each) for each in pictures)
      seen = self._nets.identity, id_params, painted, real
      terms |= guided_losses.identity_terms(*seen, ex, o.margin)
      total += o.identity_weight * terms['g_identity']
      total += o.real_pairs_weight * terms['i_real_pairs']
    last = list(self.judges)[-1]
    own, own_terms = guided_losses.own_identity_terms(
      self._nets.perceptual, frozen.get('perceptual'), ex['judged'][last].real, fakes[last], ex, o
    )
    return total + own, {'g_loss': total + own, **terms, **own_terms}
