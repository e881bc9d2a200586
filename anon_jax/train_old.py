"""The one training loop, for every stage."""

import collections
import contextlib
import dataclasses
import math
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import grain
import jax
import numpy as np

from anon_jax import checkpoints as checkpointing
from anon_jax import parallel
from anon_jax.checkpoints import Checkpoints
from anon_jax.state import TrainState
from anon_jax.steps.stage import Stage
from anon_jax.telemetry import Telemetry

Evaluate = Callable[[TrainState, int], Mapping[str, float]]
"""(state, step) -> scalars by name; made by `evaluation`, which this file does not import."""

_AHEAD = 2  # steps that may be under way on the device while the host goes on
_PROFILE_AFTER = 10  # steps left out of a profile: compilation and warm-up


class Diverged(RuntimeError):
  """A loss or norm is not finite; the last checkpoint is from before it."""


class Plan(NamedTuple):
  """Length and cadences of a run, in steps; 0 means at the end only."""

  total_steps: int
  log_every: int
  checkpoint_every: int
  eval_every: int = 0
  sample_every: int = 0
  profile_steps: int = 0


def due(step: int, every: int, plan: Plan) -> bool:
  """True on each multiple of `every`, and always on the last step."""
  return step == plan.total_steps or (every > 0 and step % every == 0)


class Interrupt:
  """Turns the first SIGINT or SIGTERM into a flag, so that a step is finished and saved.

  A second signal ends the process as it would without this class.
  """

  def __init__(self) -> None:
    self.signal: signal.Signals | None = None
    self._before: dict[signal.Signals, Any] = {}

  def __enter__(self) -> 'Interrupt':
    if threading.current_thread() is threading.main_thread():
      for number in (signal.SIGINT, signal.SIGTERM):
        self._before[number] = signal.signal(number, self._note)
    return self

  def _note(self, number: int, frame: Any) -> None:
    self.signal = signal.Signals(number)
    self._restore()

  def _restore(self) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def __exit__(self, *_: Any) -> None:
    self._restore()


@dataclasses.dataclass
class _Clock:
  """Splits wall-clock time into waiting for data and the rest, between two logs."""

  waited: float = 0.0
  paused: float = 0.0
  start: float = dataclasses.field(default_factory=time.monotonic)
  steps: int = 0

  @contextlib.contextmanager
  def pause(self) -> Iterator[None]:
    """Leaves evaluation, pictures and saves out of the rate."""
    begin = time.monotonic()
    yield
    self.paused += time.monotonic() - begin

  def draw(self, data: Iterator[Any]) -> Any:
    """Takes a batch and counts the time until it came."""
    begin = time.monotonic()
    batch = next(data)
    self.waited += time.monotonic() - begin
    return batch

  def rates(self, batch_size: int) -> dict[str, float]:
    """Returns rates since the last call."""
    seconds = max(time.monotonic() - self.start - self.paused, 1e-9)
    rates = {
      'steps_per_s': self.steps / seconds,
      'examples_per_s': self.steps * batch_size / seconds,
      'data_wait_share': self.waited / seconds,
    }
    self.waited, self.paused, self.steps, self.start = 0.0, 0.0, 0, time.monotonic()
    return rates


@dataclasses.dataclass(frozen=True)
class Run:
  """Where a run reads and writes.

  Attributes:
    workdir: folder of checkpoints, metrics and samples.
    plan: length and cadences.
    batch_size: examples a step over all hosts.
    seed: of the parameters and of the steps' randomness.
    keep_checkpoints: newest checkpoints kept.
  """

  workdir: pathlib.Path
  plan: Plan
  batch_size: int
  seed: int
  keep_checkpoints: int


class Outcome(NamedTuple):
  """What a run ended with."""

  state: TrainState
  step: int
  interrupted: signal.Signals | None


def new_state(stage: Stage, seed: int, mesh: jax.sharding.Mesh) -> TrainState:
  """Returns the state before the first step, born on the mesh."""
  state = parallel.init_sharded(lambda: stage.init(jax.random.key(seed)), mesh)
  return state.replace(frozen=parallel.put_replicated(stage.frozen, mesh))


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
    clock = _Clock()
    while step < plan.total_steps and not self._interrupt.signal:
      batch = parallel.put_batch(clock.draw(data), self._mesh)
      if compiled is None:
        compiled = self._compile(state, batch)
        clock = _Clock()
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

  def _log(self, step: int, metrics: Mapping[str, jax.Array], clock: _Clock) -> None:
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    values |= clock.rates(self._run.batch_size)
    self._telemetry.scalars(step, values, shown=('g_loss', 'd_loss', 'examples_per_s'))
    self._require_finite(step, values)

  def _require_finite(self, step: int, values: Mapping[str, Any]) -> None:
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
      raise Diverged(
        f'not finite at step {step}: {", ".join(bad)}; the last checkpoint, step '
        f'{self._saved.latest()}, is from before it. Running again repeats the same steps: start '
        'in another --workdir with lower learning rates or another seed.'
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
