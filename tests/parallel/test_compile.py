import jax
import jax.numpy as jnp
import pytest

from cnn_jax.parallel import compile as compiling
from cnn_jax.parallel import create_layout

DTYPES = ("float32", "bfloat16", "float16")
FEW = ("float32", "bfloat16", pytest.param("float16", marks=pytest.mark.slow))  # which takes the way of bfloat16


@pytest.mark.parametrize("dtype", FEW)
def test_compiler_options_are_those_of_onednn_and_compile_here(dtype):
    options = compiling.compiler_options(dtype)
    assert options in (None, compiling.ONEDNN)
    assert jax.jit(lambda x: x + 1, compiler_options=options)(jnp.ones(1, dtype)) == 2


@pytest.mark.parametrize(("conv", "options"), [("xla", [{}]), ("auto", [{"compiler_options": {"wanted": True}}])])
def test_a_layout_compiles_with_the_options_unless_all_is_to_be_xla_s(monkeypatch, conv, options):
    given = []
    monkeypatch.setattr(compiling, "compiler_options", lambda *dtypes: {"wanted": True})
    monkeypatch.setattr(jax.stages.Lowered, "compile", lambda self, **keywords: given.append(keywords))
    create_layout("jit", conv).compile(lambda x: x + 1, jnp.ones(1))
    assert given == options


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_is_compiled_with_the_options_that_hold_in_its_dtypes(monkeypatch, dtype):
    asked = []
    monkeypatch.setattr(compiling, "compiler_options", lambda *dtypes: asked.extend(dtypes))
    compiling.compile_step(jax.jit(lambda x: (x.astype(dtype) @ x.astype(dtype)).sum()).lower(jnp.ones((2, 2))))
    assert asked == sorted({"float32", dtype}, key=DTYPES.index)


def test_options_that_fail_in_one_dtype_are_kept_for_the_others(monkeypatch):
    monkeypatch.setattr(compiling.jax, "default_backend", lambda: "cpu")
    monkeypatch.setattr(compiling, "_holds", lambda dtype: dtype != "bfloat16")
    assert compiling.compiler_options("float32", "float16") is compiling.ONEDNN
    assert compiling.compiler_options("float32", "bfloat16") is None


def test_an_unknown_option_is_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="compiling without xla_cpu_of_tomorrow: .*No such compile option"):
        assert compiling.checked({"xla_cpu_of_tomorrow": True}) is None


@pytest.mark.parametrize(
    ("dtype", "wrong"),
    [
        ("float32", "value"),
        ("bfloat16", "gradient"),
        pytest.param("float16", "gradient", marks=pytest.mark.slow),
        ("bfloat16", "mean"),
    ],
)
def test_options_that_give_a_wrong_convolution_are_left_out_with_a_warning(monkeypatch, dtype, wrong):
    conv2d, mean = compiling.ops.conv2d, compiling.ops.global_avg_pool
    garbage = {
        "value": lambda x, kernel, **how: conv2d(x, kernel, **how).at[:, 1:].set(0),
        "gradient": lambda x, kernel, **how: conv2d(jax.lax.stop_gradient(x), kernel, **how),
    }
    if wrong == "mean":
        monkeypatch.setattr(compiling.ops, "global_avg_pool", lambda x: mean(x) * jnp.nan)
    else:
        monkeypatch.setattr(compiling.ops, "conv2d", garbage[wrong])
    with pytest.warns(UserWarning, match=rf"convolutions came out wrong \({dtype}; .*plain"):
        assert compiling.checked({}, dtype) is None


@pytest.mark.parametrize("dtype", ["float32", *(pytest.param(d, marks=pytest.mark.slow) for d in DTYPES[1:])])
def test_right_options_are_kept(dtype):
    assert compiling.checked({}, dtype) == {}


def test_equal_programs_are_compiled_once_and_others_are_not(monkeypatch):
    monkeypatch.setattr(compiling, "_COMPILED", compiling.OrderedDict())
    made, seven = [], jnp.arange(7.0)

    def compiled(step, *arrays, how="xla"):
        lowered = jax.jit(step).lower(*arrays)
        return compiling.compiled_once(lowered, lambda: made.append(how) or lowered.compile(), how)

    def adds(constant):
        return lambda x: x + constant

    first = compiled(adds(seven), seven)
    assert compiled(adds(seven), seven) is first and made == ["xla"]
    for number, other in enumerate(
        (
            lambda: compiled(adds(seven + 1), seven),  # a constant
            lambda: compiled(adds(2.0), seven),
            lambda: compiled(lambda x: x["a"] + seven, {"a": seven}),  # the arguments' tree
            lambda: compiled(lambda x: {"a": x + seven}, seven),  # the result's
            lambda: compiled(adds(seven), seven, how="auto"),
            lambda: compiled(adds(seven), seven.astype(jnp.bfloat16)),
        ),
        2,
    ):
        other()
        assert len(made) == number
    assert compiled(adds(seven + 1), seven)(seven).tolist() == (2 * seven + 1).tolist() and len(made) == 7


def test_programs_used_longest_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(compiling, "_COMPILED", compiling.OrderedDict())
    monkeypatch.setattr(compiling, "_KEPT", 2)
    for constant in (1.0, 2.0, 1.0, 3.0):
        compiling.compiled_once(
            jax.jit(lambda x, constant=constant: x + constant).lower(0.0), lambda constant=constant: constant, "xla"
        )
    assert list(compiling._COMPILED.values()) == [1.0, 3.0]
