"""The table of a study says what may be said, and no more."""

import numpy as np
import pytest
from scipy import stats

from cnn_jax.study.statistics import LEVEL, crossed_interval
from cnn_jax.study.table import HEAD, cells, compare, markdown, verdict


def values(n, **shifts):
    rng = np.random.default_rng(3)  # the same, whichever tests came before
    base = {seed: float(v) for seed, v in enumerate(rng.normal(0.9, 0.01, n))}
    arms = {
        arm: {seed: base[seed] + shift + float(rng.normal(0, 0.002)) for seed in base} for arm, shift in shifts.items()
    }
    return {"base": base, **arms}


def test_differences_are_paired_by_seed():
    found = values(9, up=0.01)
    base, up = compare(found)
    d = np.array([found["up"][seed] - found["base"][seed] for seed in range(9)])
    wanted = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    np.testing.assert_allclose(up.difference, [d.mean(), wanted.low, wanted.high])
    assert up.p == 2 / 2**9 and up.decided and verdict(up, 1) == "higher"
    assert up.correlation > 0.9  # the base's spread is five times the rest's
    assert base.difference is None and verdict(base, 1) == ""
    low, high = up.detects[1:]
    assert low < up.detects[0] < high


def test_examples_vary_as_well_where_it_is_known_which_are_right():
    rng = np.random.default_rng(1)
    right = {arm: {seed: rng.random(200) < part for seed in range(9)} for arm, part in (("base", 0.8), ("up", 0.9))}
    found = {arm: {seed: float(array.mean()) for seed, array in arrays.items()} for arm, arrays in right.items()}
    base, up = compare(found, right)
    np.testing.assert_allclose(base.of_all, crossed_interval(np.stack([*right["base"].values()]).astype(float)))
    d = np.stack([right["up"][seed].astype(float) - right["base"][seed] for seed in range(9)])
    np.testing.assert_allclose(up.difference_of_all, crossed_interval(d))
    assert up.difference_of_all.mean == pytest.approx(up.difference.mean)
    assert all(row.of_all is None for row in compare(found))
    assert f"| ± {100 * up.difference_of_all.half:.2f} % |" in markdown([base, up], "top1")
    del right["up"][3]  # a run of an earlier version, which kept none
    assert compare(found, right)[1].of_all is None and compare(found, right)[0].of_all is not None


def test_too_few_seeds_decide_nothing_whatever_the_difference():
    _, up = compare(values(5, up=1.0))
    assert not up.decided and verdict(up, 1) == "not decidable at n = 5; needs 6" and up.detects is None
    rows = compare(values(8, up=1.0, **{f"arm{i}": 0.0 for i in range(9)}))
    assert verdict(rows[1], 10) == "not decidable at n = 8; needs 9"


def test_an_arm_like_the_base_is_not_found_and_one_below_is_lower():
    rows = {row.arm: verdict(row, 2) for row in compare(values(9, same=0.0, down=-0.02))}
    assert rows == {"base": "", "same": "no difference found", "down": "lower"}


def test_seeds_that_one_side_lacks_are_left_out_of_the_pairs():
    found = values(9, up=0.01)
    del found["base"][3], found["up"][4]
    base, up = compare(found)
    assert base.seeds == (0, 1, 2, 4, 5, 6, 7, 8) and up.seeds == (0, 1, 2, 5, 6, 7, 8)
    assert up.p == 2 / 2**7 <= LEVEL


def test_the_text_has_a_cell_for_every_column():
    rows = compare(values(9, up=0.01, none=0.0))
    table = markdown(rows, "top1").splitlines()
    assert len(table) == 5 and {line.count("|") for line in table} == {len(HEAD) + 1}
    assert "±" in table[2] and " % " in table[2] and "| +1." in table[3]
    assert all(len(row) == len(HEAD) for row in cells(rows, "loss"))


def test_the_name_of_an_arm_stays_in_its_cell():
    assert "| stem\\|stage1 | 9 |" in markdown(compare(values(9, **{"stem|stage1": 0.0})), "top1")


@pytest.mark.parametrize("n", [0, 1])
def test_an_arm_that_never_finished_has_a_row_without_figures(n):
    found = values(9, up=0.01)
    found["up"] = {seed: found["up"][seed] for seed in range(n)}
    row = cells(compare(found), "top1")[1]
    assert row[0] == "up" and row[1] == str(n) and "not decidable" in row[HEAD.index("verdict")]
