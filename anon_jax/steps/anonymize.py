"""Stage `anonymize`: AnonymizationNet against D_A, and with IdentityNet (paper 3.3, eq. 1, 3)."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from anon_jax import optim, proxy
from anon_jax.data import semantic
from anon_jax.losses import adversarial, diffaugment, perceptual, reconstruction
from anon_jax.losses.regularisation import r1_penalty
from anon_jax.nets.anonymization import AnonymizationNet, masked
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.identity import IdentityNet
from anon_jax.nets.perceptual import PerceptualNet
from anon_jax.state import TrainState
from anon_jax.steps import controls
from anon_jax.steps.harmonize import to_signed
from anon_jax.steps.stage import Batch, Metrics, Stage

_NO_AUGMENT = diffaugment.DiffAugment()


@dataclasses.dataclass(frozen=True)
class AnonymizeOptions:
  """Plain numbers of the stage; the defaults are the paper's where it has any.

  Attributes:
    image_size: side of the crops in pixels.
    identities_per_batch: different identities of a batch.
    identity_weight: weight of L_id in eq. 1, for A and I.
    real_pairs_weight: weight of the contrastive loss between real faces, for I.
    margin: distance at which the contrastive loss lets different identities be.
    adversarial_weight: weight of the LSGAN term of eq. 1.
    adversarial_from_step: before it that term has no weight and all controls are own.
    reconstruction_share: share of a batch whose control identity is the source's own.
    reconstruction_weight: weight of the multi-scale L1 of those rows.
    perceptual_weight: weight of their perceptual term.
    r1_weight: weight of R1 on D_A; 0 leaves it out.
    real_label: what D_A is to say of real faces.
    augment: what is done to all that D_A sees.
    projection: whether D_A is told the control identity.
    generator_lr: Adam's rate for A.
    discriminator_lr: Adam's rate for D_A.
    identity_lr: Adam's rate for I.
    adam_b1: Adam's first decay.
    adam_b2: Adam's second decay.
    ema_decay: decay of the running averages of A and I.
    sample_controls: control identities of a sample sheet.
  """

  image_size: int
  identities_per_batch: int
  identity_weight: float = 1.0
  real_pairs_weight: float = 0.0
  margin: float = 1.0
  adversarial_weight: float = 1.0
  adversarial_from_step: int = 0
  reconstruction_share: float = 0.0
  reconstruction_weight: float = 0.0
  perceptual_weight: float = 0.0
  r1_weight: float = 0.0
  real_label: float = adversarial.REAL_LABEL
  augment: diffaugment.DiffAugment = _NO_AUGMENT
  projection: bool = False
  generator_lr: float = 1e-4
  discriminator_lr: float = 4e-4
  identity_lr: float = 1e-4
  adam_b1: float = 0.5
  adam_b2: float = 0.999
  ema_decay: float = 0.999
  sample_controls: int = 5


class Nets(NamedTuple):
  """The modules of the stage.

  Attributes:
    generator: A.
    discriminator: D_A; sees a foreground beside the one-hot map.
    identity: I; sees foregrounds, real and painted.
    perceptual: frozen network of the perceptual term, or None to leave the term out.
  """

  generator: AnonymizationNet
  discriminator: MultiScaleDiscriminator
  identity: IdentityNet
  perceptual: PerceptualNet | None = None


def make_anonymize_stage(
  nets: Nets,
  options: AnonymizeOptions,
  identity_params: Any = None,
  perceptual_params: Any = None,
) -> Stage:
  """Builds the stage.

  Args:
    nets: the modules.
    options: plain numbers.
    identity_params: what I starts from (host arrays); None starts it from scratch.
    perceptual_params: published weights of the perceptual network.

  Returns:
    A stage whose batches hold `image` uint8 [b, s, s, 3], `map` uint8 [b, s, s] and, in training,
    `identity_class` int32 [b] with `identities_per_batch` different classes.
  """
  task = _Anonymize(nets, options, identity_params)
  return Stage(
    name='anonymize',
    init=task.init,
    step=task.step,
    predict=task.predict,
    columns=('source', 'foreground', *(f'control {c}' for c in task.shown)),
    frozen={'perceptual': perceptual_params} if nets.perceptual else {},
  )


class _Anonymize:
  """The pure functions of the stage."""

  def __init__(self, nets: Nets, options: AnonymizeOptions, identity_params: Any):
    o = options
    self._nets, self._o, self._identity_params = nets, o, identity_params
    self._gen_tx = optim.adam(o.generator_lr, o.adam_b1, o.adam_b2)
    self._disc_tx = optim.adam(o.discriminator_lr, o.adam_b1, o.adam_b2)
    self._id_tx = optim.adam(o.identity_lr, o.adam_b1, o.adam_b2)
    count = nets.generator.identities
    spread = np.linspace(0, count - 1, min(o.sample_controls, count))
    self.shown = [int(place) for place in np.round(spread)]

  def init(self, key: jax.Array) -> TrainState:
    nets, side = self._nets, self._o.image_size
    root, gen_key, disc_key, id_key = jax.random.split(key, 4)
    one = jnp.zeros((1, nets.generator.identities))
    maps = jnp.zeros((1, side, side), jnp.uint8)
    picture = jnp.zeros((1, side, side, 3))
    gen_params = nets.generator.init(gen_key, one, maps)['params']
    told = one if self._o.projection else None
    disc_params = nets.discriminator.init(disc_key, picture, [_one_hot(maps)], told)['params']
    id_params = self._identity_params
    if id_params is None:
      id_params = nets.identity.init(id_key, picture)['params']
    id_params = jax.tree.map(jnp.asarray, id_params)
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      key=root,
      nets={
        'generator': optim.new_net(gen_params, self._gen_tx),
        'discriminator': optim.new_net(disc_params, self._disc_tx),
        'identity': optim.new_net(id_params, self._id_tx),
      },
      ema={'generator': optim.copy(gen_params), 'identity': optim.copy(id_params)},
    )

  def step(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    ex = self._example(jax.random.fold_in(state.key, state.step), state.step, batch)
    gen, disc, judge = (state.nets[n] for n in ('generator', 'discriminator', 'identity'))
    # One forward pass of A serves all updates: D_A learns from `fake`, then A's gradient is pulled
    # back through the same pass.
    fake, pull_back = jax.vjp(lambda params: self._paint(params, ex), gen.params)
    disc_loss = jax.value_and_grad(self._discriminator_loss, has_aux=True)
    (_, d_terms), d_grads = disc_loss(disc.params, fake, ex)
    disc = optim.update(disc, d_grads, self._disc_tx)
    # L_id is minimised by both, A through `fake` and I by its parameters: one loss, two gradients.
    gen_loss = jax.value_and_grad(self._generator_loss, argnums=(0, 1), has_aux=True)
    (_, g_terms), (d_fake, i_grads) = gen_loss(fake, judge.params, disc.params, state, ex)
    (g_grads,) = pull_back(d_fake)
    gen = optim.update(gen, g_grads, self._gen_tx)
    judge = optim.update(judge, i_grads, self._id_tx)
    ema = {
      name: optim.update_average(state.ema[name], net.params, state.step, self._o.ema_decay)
      for name, net in {'generator': gen, 'identity': judge}.items()
    }
    norms = {'d_grad_norm': d_grads, 'g_grad_norm': g_grads, 'i_grad_norm': i_grads}
    metrics = {**d_terms, **g_terms, **{name: optim.norm(g) for name, g in norms.items()}}
    new_state = state.replace(
      step=state.step + 1,
      nets={'generator': gen, 'discriminator': disc, 'identity': judge},
      ema=ema,
    )
    return new_state, metrics

  def predict(self, state: TrainState, batch: Batch) -> dict[str, jax.Array]:
    images, mask = to_signed(batch['image']), proxy.foreground_mask(batch['map'])
    variables = {'params': state.ema['generator']}
    net = self._nets.generator
    # What A takes from the maps serves every column.
    modulations: Any = net.apply(variables, batch['map'], method='modulations')
    shown = {'source': images, 'foreground': masked(images, mask), 'mask': mask}
    for control in self.shown:
      classes = jnp.full(images.shape[:1], control)
      mixtures = jax.nn.one_hot(classes, net.identities)
      faces: Any = net.apply(variables, modulations, mixtures, method='paint')
      shown[f'control {control}'] = jnp.where(mask > 0, faces, images)  # no H is involved
    return shown

  def _example(self, key: jax.Array, step: jax.Array, batch: Batch) -> dict[str, Any]:
    """All that the losses of one step need beside parameters and A's output."""
    o = self._o
    control_key, partner_key, real_key, augment_key = jax.random.split(key, 4)
    classes, count = batch['identity_class'], batch['identity_class'].shape[0]
    own_rows = jnp.where(
      step < o.adversarial_from_step, count, round(o.reconstruction_share * count)
    )
    chosen = controls.draw_controls(control_key, classes, o.identities_per_batch, own_rows)
    mask = proxy.foreground_mask(batch['map'])
    return {
      'map': batch['map'],
      'classes': _one_hot(batch['map']),
      'mask': mask,
      'own': chosen.own,
      'real': masked(to_signed(batch['image']), mask),
      'identity': jax.nn.one_hot(classes, self._nets.generator.identities),
      'control': jax.nn.one_hot(chosen.control, self._nets.generator.identities),
      'partners': controls.draw_partners(partner_key, chosen.control, classes),
      'real_partners': controls.draw_partners(real_key, classes, classes),
      'changes': diffaugment.draw(jax.random.split(augment_key, count), o.image_size, o.augment),
      'adversarial_weight': jnp.where(step < o.adversarial_from_step, 0.0, o.adversarial_weight),
    }

  def _paint(self, params: Any, ex: dict[str, Any]) -> jax.Array:
    faces: Any = self._nets.generator.apply({'params': params}, ex['control'], ex['map'])
    return masked(faces, ex['mask'])

  def _judge(self, params: Any, images: jax.Array, who: jax.Array, ex: dict[str, Any]) -> Any:
    images, conditions = diffaugment.apply(ex['changes'], images, [ex['classes']])
    told = who if self._o.projection else None
    return self._nets.discriminator.apply({'params': params}, images, conditions, told)

  def _discriminator_loss(
    self, params: Any, fake: jax.Array, ex: dict[str, Any]
  ) -> tuple[jax.Array, Metrics]:
    """Eq. 3, with R1 where it is wanted."""
    o = self._o

    def judge_real(images: jax.Array) -> Any:
      return self._judge(params, images, ex['identity'], ex)

    real_logits = judge_real(ex['real'])
    fake_logits = self._judge(params, fake, ex['control'], ex)
    loss = adversarial.lsgan_discriminator(real_logits, fake_logits, o.real_label)
    terms = {'d_loss': loss}
    if o.r1_weight:
      terms['d_r1'] = r1_penalty(judge_real, ex['real'])
      loss += o.r1_weight * terms['d_r1']
    return loss, terms

  def _generator_loss(
    self,
    fake: jax.Array,
    id_params: Any,
    disc_params: Any,
    state: TrainState,
    ex: dict[str, Any],
  ) -> tuple[jax.Array, Metrics]:
    """Eq. 1 as a function of A's output and of I, so that one gradient serves all its terms."""
    o = self._o
    logits = self._judge(disc_params, fake, ex['control'], ex)
    terms = {'g_adversarial': adversarial.lsgan_generator(logits)}
    total = ex['adversarial_weight'] * terms['g_adversarial']
    if o.identity_weight:
      terms |= self._identity_terms(id_params, fake, ex)
      total += o.identity_weight * terms['g_identity']
      total += o.real_pairs_weight * terms['i_real_pairs']
    # What holds A to the real face sees rows of the source's own identity only.
    own = ex['own'][:, None, None, None]
    if o.reconstruction_weight:
      mask = jnp.where(own, ex['mask'], 0.0)
      terms['g_l1'] = reconstruction.foreground_l1(ex['real'], fake, mask)
      total += o.reconstruction_weight * terms['g_l1']
    if self._nets.perceptual and o.perceptual_weight:
      shown = jnp.where(own, fake, ex['real'])  # equal pictures: no loss and no gradient
      share = jnp.maximum(jnp.mean(ex['own'].astype(jnp.float32)), 1 / len(fake))
      distance = perceptual.perceptual_loss(
        self._nets.perceptual, state.frozen['perceptual'], ex['real'], shown
      )
      terms['g_perceptual'] = distance / share
      total += o.perceptual_weight * terms['g_perceptual']
    return total, {'g_loss': total, **terms}

  def _identity_terms(self, params: Any, fake: jax.Array, ex: dict[str, Any]) -> Metrics:
    """L_id between painted and real faces, and the same loss between real ones."""
    pictures = jnp.concatenate([fake, ex['real']])
    embeddings: Any = self._nets.identity.apply({'params': params}, pictures)
    painted, real = embeddings[: len(fake)], embeddings[len(fake) :]
    return {
      'g_identity': controls.contrast(painted, real, ex['partners'], self._o.margin),
      'i_real_pairs': controls.contrast(real, real, ex['real_partners'], self._o.margin),
    }


def _one_hot(maps: jax.Array) -> jax.Array:
  return jax.nn.one_hot(maps, semantic.NUM_CLASSES)
