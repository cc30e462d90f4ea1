"""The figures of `Summary` as tables for people."""

from collections.abc import Iterable

from rich.table import Table

from cnn_jax.inspect.overview import Summary


def layer_table(summary: Summary) -> Table:
    """Every layer of one network, with totals."""
    height, width, channels = summary.image_shape
    title = f"{summary.model}, {height}×{width}×{channels}, {summary.num_classes} classes"
    table = Table(title=title, show_footer=True)
    table.add_column("layer", "total", no_wrap=True)
    for heading, footer in (
        ("output", ""),
        ("kernel", ""),
        ("parameters", f"{summary.params:,}"),
        ("MACs", _count(summary.macs)),
        ("FLOPs", _count(summary.flops)),
        ("activations", _bytes(summary.activation_bytes)),
        ("sees", ""),
    ):
        table.add_column(heading, footer, justify="right", no_wrap=True)
    for layer in summary.layers:
        table.add_row(
            layer.name,
            _times(layer.output_shape),
            _times(layer.kernel),
            f"{layer.parameters:,}" if layer.parameters else "",
            _count(layer.macs) if layer.macs else "",
            _count(layer.flops) if layer.flops else "",
            _bytes(layer.activation_bytes),
            _times(layer.receptive_field),
        )
    return table


def comparison_table(summaries: Iterable[Summary]) -> Table:
    """One line a network."""
    table = Table("model", "image", title="Cost of one image")
    for heading in ("layers", "parameters", "MACs", "FLOPs", "activations"):
        table.add_column(heading, justify="right", no_wrap=True)
    for summary in summaries:
        weighted = sum(layer.kind in ("conv", "dense") for layer in summary.layers)
        table.add_row(
            summary.model,
            _times(summary.image_shape),
            str(weighted),
            f"{summary.params:,}",
            _count(summary.macs),
            _count(summary.flops),
            _bytes(summary.activation_bytes),
        )
    return table


def _times(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))


def _count(number: int) -> str:
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.4g} {letter}"
    return str(number)


def _bytes(number: int) -> str:
    return f"{number / 2**20:,.2f} MiB" if number >= 2**20 else f"{number / 2**10:,.1f} KiB"
