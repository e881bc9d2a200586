"""The one training loop, for every stage."""

import collections
import math
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import grain
import jax
import numpy as np

from anon_jax import checkpoints as checkpointing
from anon_jax import optim, parallel
from anon_jax.checkpoints import CheckpointError, Checkpoints
from anon_jax.state import TrainState
from anon_jax.steps.stage import Stage
from anon_jax.telemetry import Telemetry
from anon_jax.train.clock import Clock
from anon_jax.train.interrupt import Interrupt
from anon_jax.train.plan import Run, due

Evaluate = Callable[[TrainState, int], Mapping[str, float]]
"""(state, step) -> scalars by name; made by `evaluation`, which this file does not import."""

_AHEAD = 2  # steps that may be under way on the device while the host goes on
_PROFILE_AFTER = 10  # steps left out of a profile: compilation and warm-up


class Diverged(RuntimeError):
  """A loss or norm is not finite; the last checkpoint is from before it."""


class Outcome(NamedTuple):
  """What a run ended with."""

  state: TrainState
  step: int
  interrupted: signal.Signals | None


def new_state(stage: Stage, seed: int, mesh: jax.sharding.Mesh) -> TrainState:
  """Returns the state before the first step, born on the mesh.

  Raises:
    CheckpointError: the stage's initial parameters are of other shapes, types or names.
  """

  def born(initial: Mapping[str, Any]) -> TrainState:
    state = stage.init(jax.random.key(seed))
    for name, params in initial.items():
      _require_fit(name, params, state)
    nets = {name: state.nets[name].replace(params=params) for name, params in initial.items()}
    averages = {name: optim.copy(params) for name, params in initial.items() if name in state.ema}
    return state.replace(nets=state.nets | nets, ema=state.ema | averages)

  state = parallel.init_sharded(born, mesh, parallel.put_replicated(stage.initial, mesh))
  return state.replace(frozen=parallel.put_replicated(stage.frozen, mesh))


def _require_fit(name: str, params: Any, state: TrainState) -> None:
  if name not in state.nets:
    raise CheckpointError(
      f'initial parameters are given for {name!r}; the networks are {sorted(state.nets)}.'
    )
  given, wanted = (
    {jax.tree_util.keystr(path): f'{leaf.dtype}{list(leaf.shape)}' for path, leaf in leaves}
    for leaves in (
      jax.tree_util.tree_leaves_with_path(params),
      jax.tree_util.tree_leaves_with_path(state.nets[name].params),
    )
  )
  wrong = [
    f'{leaf} is {given.get(leaf, "absent")} there and {wanted.get(leaf, "absent")} here'
    for leaf in sorted(given | wanted)
    if given.get(leaf) != wanted.get(leaf)
  ]
  if wrong:
    raise CheckpointError(
      f'the initial parameters of {name!r} do not fit: {"; ".join(wrong[:3])}; take those of a '
      'network of the same preset and size.'
    )


def train(
  run: Run,
  stage: Stage,
  dataset: grain.IterDataset,
  samples: Mapping[str, np.ndarray],
  evaluate: Evaluate,
  mesh: jax.sharding.Mesh,
) -> Outcome:
  """Trains a stage from its newest checkpoint, or from scratch, to the plan's last step.

  The order within a step is fixed: draw a batch, update, count, log, sample, evaluate, save. So a
  checkpoint of step k holds a state after k updates and an iterator that has given k batches, and
  a resumed run repeats the unbroken one bit for bit.

  Args:
    run: where and how long.
    stage: the networks and their step.
    dataset: this process's batches.
    samples: a batch that sample grids are drawn from.
    evaluate: called with the state and the step.
    mesh: the devices.

  Raises:
    Diverged: a metric is not finite when it is logged.
  """
  data = iter(dataset)
  saved = Checkpoints(run.workdir / 'checkpoints', run.keep_checkpoints)
  state = new_state(stage, run.seed, mesh)
  first = saved.latest()
  if first is not None:
    state = saved.restore(first, state, data)
  step = int(state.step)
  telemetry = Telemetry(run.workdir, step, run.plan.total_steps, jax.process_index() == 0)
  counts = ', '.join(f'{k} {v / 1e6:.2f} M' for k, v in checkpointing.describe(state).items())
  origin = 'starting' if first is None else f'resuming from step {first}'
  telemetry.note(f'{stage.name}: {origin}; parameters: {counts}; devices: {mesh.size}')
  try:
    with Interrupt() as interrupt:
      if step < run.plan.total_steps:
        loop = _Loop(run, stage, saved, telemetry, evaluate, mesh, interrupt)
        state, step = loop.run_from(state, step, data, samples)
      saved.wait()
  finally:
    telemetry.close()
    saved.close()
  return Outcome(state, step, interrupt.signal)


class _Loop:
  """The loop itself, with what its steps need at hand."""

  def __init__(
    self,
    run: Run,
    stage: Stage,
    saved: Checkpoints,
    telemetry: Telemetry,
    evaluate: Evaluate,
    mesh: jax.sharding.Mesh,
    interrupt: Interrupt,
  ):
    self._run, self._stage, self._saved, self._telemetry = run, stage, saved, telemetry
    self._evaluate, self._mesh, self._interrupt = evaluate, mesh, interrupt
    self._predict = jax.jit(stage.predict)

  def run_from(
    self, state: TrainState, step: int, data: grain.DatasetIterator, samples: Mapping[str, Any]
  ) -> tuple[TrainState, int]:
    """Runs the steps after `step`; returns the state and the step that it has reached."""
    plan, first = self._run.plan, step
    compiled = None
    pending: collections.deque = collections.deque()
    clock = Clock()
    while step < plan.total_steps and not self._interrupt.signal:
      batch = parallel.put_batch(clock.draw(data), self._mesh)
      if compiled is None:
        compiled = self._compile(state, batch)
        clock = Clock()
      with jax.transfer_guard('disallow'), jax.profiler.StepTraceAnnotation('train', step_num=step):
        state, metrics = compiled(state, batch)
      step += 1
      clock.steps += 1
      pending.append(metrics)
      if len(pending) > _AHEAD:
        jax.block_until_ready(pending.popleft())
      self._telemetry.advance()
      self._profile(step - first, last=step == plan.total_steps)
      if due(step, plan.log_every, plan):
        self._log(step, metrics, clock)
      if self._any_due(step):
        jax.block_until_ready(metrics)  # so that the pause does not hold the steps themselves
      with clock.pause():
        self._due_work(state, step, metrics, data, samples)
    if self._interrupt.signal:
      if pending:  # the last step's metrics may not have been looked at
        self._require_finite(step, jax.device_get(pending[-1]))
      self._saved.save(step, state, data)
      self._telemetry.note(f'{self._interrupt.signal.name}: saved step {step}; run again to go on.')
    return state, step

  def _compile(self, state: TrainState, batch: Any) -> Callable:
    result = parallel.compile_step(self._stage.step, state, batch, self._mesh, time.monotonic)
    self._telemetry.note(
      f'compiled in {result.seconds:.1f} s; {result.flops / 1e9:.1f} GFLOP a step on each device'
    )
    scalars = {'compile_seconds': result.seconds, 'step_gflop': result.flops / 1e9}
    self._telemetry.scalars(int(state.step), scalars)
    return result.run

  def _log(self, step: int, metrics: Mapping[str, jax.Array], clock: Clock) -> None:
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    values |= clock.rates(self._run.batch_size)
    losses = [name for name in values if name.endswith('loss')]
    self._telemetry.scalars(step, values, shown=[*losses, 'examples_per_s'])
    self._require_finite(step, values)

  def _require_finite(self, step: int, values: Mapping[str, Any]) -> None:
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
      latest = self._saved.latest()
      before = f'the last checkpoint, step {latest}, is from before it'
      before = 'no checkpoint was written' if latest is None else before
      raise Diverged(
        f'not finite at step {step}: {", ".join(bad)}; {before}. Running again repeats the same '
        'steps: start in another --workdir with lower learning rates or another seed.'
      )

  def _any_due(self, step: int) -> bool:
    plan = self._run.plan
    return any(
      due(step, every, plan)
      for every in (plan.sample_every, plan.eval_every, plan.checkpoint_every)
    )

  def _due_work(
    self,
    state: TrainState,
    step: int,
    metrics: Mapping[str, jax.Array],
    data: grain.DatasetIterator,
    samples: Mapping[str, Any],
  ) -> None:
    plan = self._run.plan
    if due(step, plan.sample_every, plan):
      shown = parallel.fetch(self._predict(state, parallel.put_replicated(samples, self._mesh)))
      self._telemetry.pictures(step, {name: shown[name] for name in self._stage.columns})
    if due(step, plan.eval_every, plan):
      self._telemetry.scalars(step, self._evaluate(state, step))
    if due(step, plan.checkpoint_every, plan):
      self._require_finite(step, jax.device_get(metrics))  # no checkpoint of a diverged state
      self._saved.save(step, state, data)

  def _profile(self, done: int, *, last: bool) -> None:
    wanted = self._run.plan.profile_steps
    if not wanted:
      return
    if done == _PROFILE_AFTER and not last:
      jax.profiler.start_trace(str(self._run.workdir / 'profile'))
    recorded = done - _PROFILE_AFTER
    if recorded == wanted or (last and 0 < recorded < wanted):
      jax.profiler.stop_trace()
      self._telemetry.note(f'profile of {recorded} steps written to {self._run.workdir}/profile')
    elif last and recorded <= 0:
      self._telemetry.note(f'no profile: the run ends before step {_PROFILE_AFTER} of this start')
