"""What runs that differ in nothing but their seeds have in common, within a study: their checks and their programs."""

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cnn_jax.config import Config, SeedsConfig
from cnn_jax.data import DatasetInfo
from cnn_jax.runs.derive import Derived
from cnn_jax.runs.parts import is_noisy

if TYPE_CHECKING:
    from cnn_jax.runs.session import Session


@dataclasses.dataclass(frozen=True)
class Shared:
    """What a session has in common with others: what is compiled, and the shapes that it takes."""

    programs: dict[str, Any] = dataclasses.field(default_factory=dict, kw_only=True, repr=False, compare=False)

    def once[T](self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, which it is asked for once."""
        if name not in self.programs:
            self.programs[name] = make()
        return self.programs[name]  # type: ignore[no-any-return]


_SESSIONS = contextvars.ContextVar[list["Session"] | None]("sessions", default=None)


@contextlib.contextmanager
def shared_programs() -> Iterator[None]:
    """A context in which a run goes on with the programs of one that differs in its seeds alone.

    They are then neither checked nor traced nor compiled again: of a run of 100 steps of LeNet-5, that is more than
    half. To be opened only where no code changes meanwhile, as within one command, because a part of one's own is known
    by its name here, and not by what it does.
    """
    token = _SESSIONS.set([])
    try:
        yield
    finally:
        _SESSIONS.reset(token)


def find_shared(config: Config, derived: Derived, info: DatasetInfo) -> "Session | None":
    """The session of another run that differs in its seeds alone, to be given this configuration."""
    wanted = _without_seeds(config), derived, info
    for session in _SESSIONS.get() or ():
        if (_without_seeds(session.config), session.derived, session.info) == wanted:
            return session
    return None


def share(session: "Session") -> None:
    """Keeps a session for runs that follow, within `shared_programs`."""
    sessions = _SESSIONS.get()
    if sessions is not None:
        sessions.append(session)


def _without_seeds(config: Config) -> Config:
    # The noise of an optimiser is drawn by one that is a constant of its program.
    seed = config.seed if is_noisy(config) else 0
    # What is in the weights is no part of a program.
    weights = config.model.weights and "some"
    model = dataclasses.replace(config.model, weights=weights, weights_sha256=None)
    return dataclasses.replace(config, seed=seed, seeds=SeedsConfig(), model=model)
