"""Proxy-NCA and the contrastive loss, against numbers worked by hand and float64."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anon_jax.losses.metric_learning import contrastive, proxy_nca

FORMS = pytest.mark.parametrize('positive_in_denominator', [True, False])


def _reference(embeddings, proxies, classes, positive, scale, smoothing):
  """Proxy-NCA straight from its definition, float64, one sum after the other."""

  def unit(v):
    v = np.asarray(v, np.float64)
    return v / np.linalg.norm(v, axis=-1, keepdims=True)

  total = 0.0
  n = len(proxies)
  for x, true in zip(unit(embeddings), classes, strict=True):
    d = [np.sum((x - scale * p) ** 2) for p in unit(proxies)]
    for y in range(n):
      weight = 1 - smoothing if y == true else smoothing / (n - 1)
      denominator = sum(np.exp(-d[z]) for z in range(n) if positive or z != y)
      total += weight * -np.log(np.exp(-d[y]) / denominator)
  return total / len(embeddings)


def _random(batch=5, count=7, dimensions=6, seed=0):
  rng = np.random.default_rng(seed)
  embeddings = 4 * rng.standard_normal((batch, dimensions)).astype(np.float32)
  proxies = 0.2 * rng.standard_normal((count, dimensions)).astype(np.float32)
  return embeddings, proxies, rng.integers(count, size=batch)


def test_proxy_nca_works_out_by_hand():
  # x = (1, 0); 3 p = (3, 0) and (0, 3): squared distances 4 and 10
  embeddings, proxies = jnp.array([[2.0, 0.0]]), jnp.array([[0.5, 0.0], [0.0, 7.0]])
  near, far = jnp.array([0]), jnp.array([1])
  log = np.log1p(np.exp(-6.0))
  cases = [
    ({'label_smoothing': 0.0}, near, log),  # -log(e^-4 / (e^-4 + e^-10))
    ({'label_smoothing': 0.0}, far, 6 + log),
    ({}, near, 0.9 * log + 0.1 * (6 + log)),  # smoothing .1 by default
    ({'label_smoothing': 0.0, 'positive_in_denominator': False}, near, -6.0),
    ({'label_smoothing': 0.0, 'positive_in_denominator': False}, far, 6.0),
    ({'positive_in_denominator': False}, near, 0.9 * -6 + 0.1 * 6),
    # squared distances 0 and 2
    ({'label_smoothing': 0.0, 'proxy_scale': 1.0}, near, np.log1p(np.exp(-2.0))),
  ]
  for options, classes, wanted in cases:
    found = proxy_nca(embeddings, proxies, classes, **({'proxy_scale': 3.0} | options))
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(wanted, rel=1e-5, abs=1e-6), options


@FORMS
@pytest.mark.parametrize('smoothing', [0.0, 0.1, 0.6])
def test_proxy_nca_equals_its_definition_in_float64(positive_in_denominator, smoothing):
  embeddings, proxies, classes = _random()
  found = proxy_nca(
    *map(jnp.asarray, (embeddings, proxies, classes)),
    positive_in_denominator=positive_in_denominator,
    proxy_scale=3.0,
    label_smoothing=smoothing,
  )
  wanted = _reference(embeddings, proxies, classes, positive_in_denominator, 3.0, smoothing)
  assert float(found) == pytest.approx(wanted, rel=1e-5)


@FORMS
def test_the_gradient_is_that_of_the_definition(positive_in_denominator):
  embeddings, proxies, classes = _random(batch=2, count=3, dimensions=2)
  options = {'positive_in_denominator': positive_in_denominator, 'proxy_scale': 3.0}
  loss = lambda e, p: proxy_nca(e, p, jnp.asarray(classes), **options)  # noqa: E731
  found = jax.grad(loss, argnums=(0, 1))(jnp.asarray(embeddings), jnp.asarray(proxies))
  step = 1e-5
  arguments = [embeddings.astype(np.float64), proxies.astype(np.float64)]
  for number, gradient in enumerate(found):
    for index in np.ndindex(gradient.shape):
      values = []
      for sign in (1, -1):
        moved = [argument.copy() for argument in arguments]
        moved[number][index] += sign * step
        values.append(_reference(*moved, classes, positive_in_denominator, 3.0, 0.1))
      slope = (values[0] - values[1]) / (2 * step)
      assert float(gradient[index]) == pytest.approx(slope, rel=1e-3, abs=1e-4)


@FORMS
def test_certainty_gives_finite_losses_and_gradients(positive_in_denominator):
  """A large scale makes one term the whole sum in float32, the right one or a wrong one."""
  embeddings = jnp.array([[1.0, 0.0], [1.0, 0.0]])
  proxies = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
  options = {'positive_in_denominator': positive_in_denominator, 'proxy_scale': 40.0}
  loss = lambda e, p: proxy_nca(e, p, jnp.array([0, 1]), **options)  # noqa: E731
  value, gradients = jax.value_and_grad(loss, argnums=(0, 1))(embeddings, proxies)
  assert jnp.isfinite(value)
  assert all(bool(jnp.isfinite(g).all()) for g in gradients)
  # logits 80, -80 and 0 and a common part: the log of a sum is its largest term
  a, b, c = (0.0 if positive_in_denominator else -80.0), 160.0, 80.0
  wanted = (0.9 * a + 0.05 * (b + c) + 0.9 * b + 0.05 * (a + c)) / 2
  assert float(value) == pytest.approx(wanted, rel=1e-5)


def test_a_length_of_embedding_or_proxy_changes_nothing():
  embeddings, proxies, classes = map(jnp.asarray, _random())
  wanted = proxy_nca(embeddings, proxies, classes)
  np.testing.assert_allclose(proxy_nca(9 * embeddings, proxies / 7, classes), wanted, rtol=1e-5)


def test_bfloat16_embeddings_are_judged_in_float32():
  embeddings, proxies, classes = map(jnp.asarray, _random())
  half = proxy_nca(embeddings.astype(jnp.bfloat16), proxies, classes)
  assert half.dtype == jnp.float32
  exact = proxy_nca(embeddings.astype(jnp.bfloat16).astype(jnp.float32), proxies, classes)
  assert float(half) == float(exact)


@pytest.mark.parametrize('wrong', [-1, 7])
def test_a_class_without_a_proxy_is_nan_and_not_ignored(wrong):
  embeddings, proxies, classes = _random()
  classes[2] = wrong
  loss = jax.jit(proxy_nca)(*map(jnp.asarray, (embeddings, proxies, classes)))
  assert jnp.isnan(loss)


def test_gradient_descent_on_proxy_nca_gathers_identities():
  classes = jnp.repeat(jnp.arange(3), 4)
  keys = jax.random.split(jax.random.key(0), 2)
  params = (jax.random.normal(keys[0], (12, 4)), jax.random.normal(keys[1], (3, 4)))
  loss = lambda params: proxy_nca(*params, classes, proxy_scale=3.0)  # noqa: E731

  @jax.jit
  def descend(params):
    for_each = lambda _, p: jax.tree.map(lambda x, g: x - g, p, jax.grad(loss)(p))  # noqa: E731
    return jax.lax.fori_loop(0, 200, for_each, params)

  embeddings, proxies = descend(params)
  nearest = jnp.argmax(embeddings @ proxies.T, axis=1)  # lengths of proxies are alike
  assert float(loss(params)) > float(loss((embeddings, proxies)))
  np.testing.assert_array_equal(nearest, classes)


def test_proxy_nca_refuses_what_does_not_fit():
  embeddings, proxies, classes = map(jnp.asarray, _random())
  shapes = re.escape('Embeddings (5, 6), proxies (7, 5) and classes (5,) do not fit')
  with pytest.raises(ValueError, match=shapes):
    proxy_nca(embeddings, proxies[:, :5], classes)
  with pytest.raises(ValueError, match='do not fit'):
    proxy_nca(embeddings, proxies, classes[:3])
  with pytest.raises(ValueError, match='1 proxies; Proxy-NCA needs at least two'):
    proxy_nca(embeddings, proxies[:1], classes)
  for options in ({'proxy_scale': 0.0}, {'label_smoothing': 1.0}, {'label_smoothing': -0.1}):
    with pytest.raises(ValueError, match='expected a positive scale and a smoothing'):
      proxy_nca(embeddings, proxies, classes, **options)


def test_the_contrastive_loss_works_out_by_hand():
  first = jnp.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
  second = jnp.array([[0.3, 0.4], [0.3, 0.4], [3.0, 4.0]])
  # distances .5, .5, 5 with margin 2: .25, 1.5^2 = 2.25, and 0 beyond the margin
  for rows, same, wanted in (
    ([0], [True], 0.25),
    ([1], [False], 2.25),
    ([2], [False], 0.0),
    ([2], [True], 25.0),
    ([0, 1, 2], [True, False, False], 2.5 / 3),
  ):
    index = jnp.array(rows)
    found = contrastive(first[index], second[index], jnp.array(same), margin=2.0)
    assert float(found) == pytest.approx(wanted, rel=1e-6, abs=1e-7)
    assert found.dtype == jnp.float32


def test_the_contrastive_gradient_pulls_one_identity_together_and_pushes_others_apart():
  pull = jax.grad(contrastive)(jnp.array([[0.6, 0.0]]), jnp.zeros((1, 2)), jnp.array([True]))
  push = jax.grad(contrastive)(jnp.array([[0.6, 0.0]]), jnp.zeros((1, 2)), jnp.array([False]))
  np.testing.assert_allclose(pull, [[1.2, 0.0]], rtol=1e-6)  # 2 D
  np.testing.assert_allclose(push, [[-0.8, 0.0]], rtol=1e-6)  # -2 (1 - D)


@pytest.mark.parametrize('same', [True, False])
def test_two_embeddings_in_one_place_have_a_finite_gradient(same):
  loss, gradient = jax.value_and_grad(contrastive)(
    jnp.ones((1, 3)), jnp.ones((1, 3)), jnp.array([same])
  )
  assert float(loss) == (0.0 if same else 1.0)
  np.testing.assert_array_equal(gradient, jnp.zeros((1, 3)))


def test_the_contrastive_loss_refuses_what_does_not_fit():
  vectors = jnp.zeros((2, 3))
  with pytest.raises(ValueError, match=re.escape('(2, 3) and (1, 3) and same (2,) do not fit')):
    contrastive(vectors, vectors[:1], jnp.array([True, False]))
  with pytest.raises(ValueError, match='do not fit'):
    contrastive(vectors, vectors, jnp.array([True]))
  with pytest.raises(ValueError, match='margin=0; expected a positive distance'):
    contrastive(vectors, vectors, jnp.array([True, False]), margin=0)
