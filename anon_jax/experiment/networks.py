"""Networks and rates that several stages build alike from their configs."""

from typing import Any

from anon_jax.experiment import sources
from anon_jax.nets import perceptual
from anon_jax.nets.discriminator import MultiScaleDiscriminator
from anon_jax.nets.perceptual import PerceptualNet


def load_perceptual(config: Any) -> tuple[PerceptualNet | None, Any]:
  """Loads the perceptual term's network and weights, (None, None) where the term is off.

  Raises:
    WeightsError: its weights are missing or damaged.
  """
  if config.perceptual_network == 'none' or not config.perceptual_weight:
    return None, None
  folders = sources.weights_folders(config)
  dtype = sources.compute_dtype(config.dtype)
  return perceptual.load_perceptual(config.perceptual_network, folders, dtype)


def make_discriminator(config: Any, identities: int = 0) -> MultiScaleDiscriminator:
  """Builds a discriminator; above 0 identities it has class projections where the config asks."""
  return MultiScaleDiscriminator(
    config.discriminator_scales,
    config.discriminator_width,
    config.discriminator_layers,
    sources.compute_dtype(config.dtype),
    config.get('discriminator_smooth', False),
    identities if config.get('discriminator_projection', False) else 0,
  )


def rates(config: Any) -> dict[str, Any]:
  """Returns the options of the optimizers that every adversarial stage has."""
  names = ('generator_lr', 'discriminator_lr', 'adam_b1', 'adam_b2', 'decay_steps')
  return {**{name: config[name] for name in names}, **averaging(config)}


def averaging(config: Any) -> dict[str, Any]:
  """Returns over how many steps gradients are averaged, and the decay of averages by step."""
  count = config.accumulate_steps
  return {'accumulate': count, 'ema_decay': config.ema_decay ** (1 / count)}
