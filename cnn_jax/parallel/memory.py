"""How much memory a compiled step takes."""

from typing import Any


def peak_bytes(compiled: Any) -> int:
    """Bytes on one device while a compiled function runs: its arguments, results and temporary arrays.

    From the compiler's own plan, so it is known before the first step.  Donated arguments count once.
    """
    plan = compiled.memory_analysis()
    arrays = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return arrays + plan.temp_size_in_bytes
