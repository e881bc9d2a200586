"""The losses that IdentityNet learns by: Proxy-NCA first, contrastive with A (paper 3.4)."""

import jax
import jax.numpy as jnp

from anon_jax.nets.embedding import normalise

# The published code gives proxies and embeddings the length 3 (github.com/dichotomies/proxy-nca);
# beside embeddings of length 1 the softmax is the same with proxies of length 9.
PROXY_SCALE = 9.0
LABEL_SMOOTHING = 0.1


def proxy_nca(
  embeddings: jax.Array,
  proxies: jax.Array,
  classes: jax.Array,
  *,
  positive_in_denominator: bool = True,
  proxy_scale: float = PROXY_SCALE,
  label_smoothing: float = LABEL_SMOOTHING,
) -> jax.Array:
  """Proxy-NCA (Movshovitz-Attias et al. 2017), the mean over embeddings.

  With d_z = |x^ - proxy_scale p^_z|^2, where ^ is scaled to length 1, and y the class of x:

    positive in the denominator:  -log(exp(-d_y) / sum over all z of exp(-d_z))
    the paper's own form:         -log(exp(-d_y) / sum over z != y of exp(-d_z))

  The first is a cross entropy, never negative; the second goes below zero once the positive proxy
  is nearer than all others together. Label smoothing s takes the mean of either over y with
  weight 1 - s for the true class and s / (n - 1) for each other one.

  Args:
    embeddings: [b, d], of any length but zero.
    proxies: [n, d], one for each training identity, of any length but zero.
    classes: int [b] in 0 ... n - 1. Others are not detected under jit; they give NaN.
    positive_in_denominator: which of the two forms.
    proxy_scale: length given to the proxies.
    label_smoothing: s, in [0, 1).

  Returns:
    A float32 scalar.

  Raises:
    ValueError: shapes that do not fit, fewer than two proxies, or a number outside its range.
  """
  _check_proxies(embeddings, proxies, classes, proxy_scale, label_smoothing)
  count = proxies.shape[0]
  cosines = jnp.matmul(
    normalise(embeddings), normalise(proxies).T, precision=jax.lax.Precision.HIGHEST
  )
  # -|x^ - s p^|^2 for x^ and p^ of length 1
  logits = 2 * proxy_scale * cosines - (1 + proxy_scale**2)  # [b n]
  if positive_in_denominator:
    terms = -jax.nn.log_softmax(logits, axis=-1)
  else:
    terms = _log_sum_of_others(logits) - logits
  rest = label_smoothing / (count - 1)
  true = jax.nn.one_hot(classes, count, dtype=jnp.float32)
  weights = rest + (1 - label_smoothing - rest) * true
  # one_hot knows no class outside 0 ... n - 1: such a row is all zeros and must not pass
  known = jnp.where(true.sum(axis=-1) > 0, 1.0, jnp.nan)
  return jnp.mean(known * jnp.sum(weights * terms, axis=-1))


def _log_sum_of_others(logits: jax.Array) -> jax.Array:
  """For each z, the log of the sum over the others of exp(logit), [b, n] -> [b, n].

  The whole sum minus one term loses all its digits where that term is nearly the sum. Only the
  largest term can be, so its others are summed afresh; any other term is at most half of the sum.
  """
  largest = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1], dtype=bool)
  # Under `where`, what is not chosen must have finite gradients too, hence the -inf only inside.
  without_largest = jax.nn.logsumexp(logits, axis=-1, keepdims=True, where=~largest)
  log_share = jnp.where(largest, jnp.log(0.5), jax.nn.log_softmax(logits, axis=-1))
  whole = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
  return jnp.where(largest, without_largest, whole + jnp.log1p(-jnp.exp(log_share)))


def _check_proxies(
  embeddings: jax.Array,
  proxies: jax.Array,
  classes: jax.Array,
  proxy_scale: float,
  label_smoothing: float,
) -> None:
  fits = embeddings.ndim == proxies.ndim == 2 and embeddings.shape[1] == proxies.shape[1]
  if not fits or classes.shape != embeddings.shape[:1]:
    raise ValueError(
      f'Embeddings {embeddings.shape}, proxies {proxies.shape} and classes {classes.shape} do not '
      f'fit; expected [b, d], [n, d] and [b].'
    )
  if proxies.shape[0] < 2:
    raise ValueError(f'{proxies.shape[0]} proxies; Proxy-NCA needs at least two identities.')
  if not proxy_scale > 0 or not 0 <= label_smoothing < 1:
    raise ValueError(
      f'proxy_scale={proxy_scale}, label_smoothing={label_smoothing}; expected a positive scale '
      f'and a smoothing in [0, 1).'
    )


def contrastive(
  first: jax.Array, second: jax.Array, same: jax.Array, margin: float = 1.0
) -> jax.Array:
  """Contrastive loss (Hadsell et al. 2006, without its halves), the mean over pairs.

  With D the Euclidean distance: D^2 for a pair of one identity, max(0, margin - D)^2 for others.

  Args:
    first: embeddings [b, d]; of unit length, D lies in [0, 2].
    second: embeddings [b, d], paired with them row by row.
    same: bool [b], which pairs are of one identity.
    margin: distance at which different identities are far enough apart.

  Returns:
    A float32 scalar. Its gradient is finite everywhere: two different identities in exactly one
    place have no direction to part in, and get none.

  Raises:
    ValueError: shapes that do not fit, or a margin that is not positive.
  """
  if first.ndim != 2 or first.shape != second.shape or same.shape != first.shape[:1]:
    raise ValueError(
      f'Embeddings {first.shape} and {second.shape} and same {same.shape} do not fit; expected '
      f'[b, d] twice and [b].'
    )
  if not margin > 0:
    raise ValueError(f'margin={margin}; expected a positive distance.')
  difference = first.astype(jnp.float32) - second.astype(jnp.float32)
  squared = jnp.sum(jnp.square(difference), axis=-1)
  apart = squared > 0
  distance = jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1.0)), 0.0)
  hinge = jnp.square(jnp.maximum(margin - distance, 0.0))
  return jnp.mean(jnp.where(same, squared, hinge))
