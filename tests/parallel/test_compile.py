import jax
import jax.numpy as jnp
import pytest

from cnn_jax.parallel import compile as compiling
from cnn_jax.parallel import create_layout


def test_compiler_options_are_those_of_onednn_and_compile_here():
    options = compiling.compiler_options()
    assert options in (None, compiling.ONEDNN)
    assert jax.jit(lambda x: x + 1, compiler_options=options)(jnp.ones(1)) == 2


@pytest.mark.parametrize(("stock", "options"), [(True, [{}]), (False, [{"compiler_options": {"wanted": True}}])])
def test_a_layout_compiles_with_the_options_unless_it_is_to_be_stock(monkeypatch, stock, options):
    given = []
    monkeypatch.setattr(compiling, "compiler_options", lambda: {"wanted": True})
    monkeypatch.setattr(jax.stages.Lowered, "compile", lambda self, **keywords: given.append(keywords))
    layout = create_layout("jit", stock=stock)
    layout.compile(jax.jit(lambda x: x + 1).lower(jnp.ones(1)))
    assert given == options


def test_an_unknown_option_is_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="compiling without xla_cpu_of_tomorrow: .*No such compile option"):
        assert compiling.checked({"xla_cpu_of_tomorrow": True}) is None


def test_options_that_give_a_wrong_convolution_are_left_out_with_a_warning(monkeypatch):
    monkeypatch.setattr(compiling.lax, "conv_general_dilated", lambda x, kernel, *_, **__: jnp.zeros((2, 4, 4, 8)))
    with pytest.warns(UserWarning, match="a convolution came out wrong"):
        assert compiling.checked({}) is None


def test_right_options_are_kept():
    assert compiling.checked({}) == {}
