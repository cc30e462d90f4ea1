"""What an arm costs: what its network computes, and what its runs took."""

from cnn_jax.inspect import Summary, summary
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.stored import Run
from cnn_jax.runs.machine.settings import precision
from cnn_jax.runs.session import open_session
from cnn_jax.study.report.subject import Subject


def costs(subject: Subject, *, trust_code: bool) -> list[dict[str, str]]:
    """A row an arm, as text: `why` says what kept a network from being counted.

    Args:
      trust_code: run code of one's own in the folders, although this user has not trained with it.
    """
    known: dict[str, Summary | str] = {}
    found = []
    for arm in subject.arms:
        row = dict.fromkeys(("parameters", "macs", "memory", "training", "all", "why"), "")
        if runs := subject.readable(arm):
            config = runs[0].config
            key = repr((config.model, config.data.name, config.data.eval_augment, runs[0].content.code))
            if key not in known:
                known[key] = _network(runs[0], trust_code=trust_code)
            network = known[key]
            if isinstance(network, str):
                row["why"] = network
            else:
                row |= {"parameters": f"{network.params:,}", "macs": _large(network.macs)}
                row["memory"] = f"{_large(network.activation_bytes)}B"
        seconds = [run.seconds for run in runs if run.record]
        if seconds:
            row["training"] = f"{sum(s.get('training', 0.0) for s in seconds) / len(seconds):,.1f} s"
            row["all"] = f"{sum(sum(s.values()) for s in seconds):,.0f} s"
        found.append({"arm": arm, **row})
    return found


def _network(run: Run, *, trust_code: bool) -> Summary | str:
    """The network's cost for one image, from shapes alone; or why it is not known here, such as code of strangers."""
    try:
        with with_code(run, trust_code=trust_code) as opened, precision(opened.config.model.dtype):
            session = open_session(opened.config, opened.derived, opened.info)
            return summary(session.model, session.image_shape)
    except (ValueError, OSError, RuntimeError) as error:
        return str(error)


def _large(number: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number} "
