import numpy as np
import pytest
import torch
from scripts.stacker import Stacker, fit_stacker
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from common.metrics import youden_threshold

ALL = torch.ones(1, 3, dtype=torch.bool)


def cohort(count: int = 400) -> tuple[Tensor, Tensor]:
    """Logits (N, 3, 3) on other scales per plane, of which the sagittal says most; labels (N, 3)."""
    labels = (torch.rand(count, 3) < 0.4).long()
    noise = torch.randn(count, 3, 3) * torch.tensor([2.0, 1.5, 0.7])[:, None]
    scale = torch.tensor([1.0, 0.2, 5.0])[:, None]
    return (labels[:, None] * 2.0 - 1 + noise) * scale + 0.7, labels


def patterns() -> Tensor:
    return torch.tensor([[pattern >> k & 1 for k in range(3)] for pattern in range(8)], dtype=torch.bool)


def test_new_stacker_is_the_mean_of_the_present_planes() -> None:
    logits, present, stacker = torch.randn(8, 3, 3), patterns(), Stacker()
    stacked = stacker(logits, present)
    assert torch.equal(stacked[0], torch.zeros(3))
    for row, which, out in zip(logits[1:], present[1:], stacked[1:], strict=True):
        assert torch.allclose(out, row[which].mean(0), atol=1e-6)
    assert torch.allclose(stacker.mean_logits(logits, present), stacked, atol=1e-6)
    assert torch.equal(stacker.thresholds(present), torch.full((8, 3), 0.5))


def test_absent_plane_has_no_influence_even_when_not_finite() -> None:
    logits, present = torch.randn(1, 3, 3), torch.tensor([[True, False, True]])
    other = logits.clone()
    other[:, 1] = torch.nan
    stacker = fit_stacker(*cohort())
    assert torch.equal(stacker(other, present), stacker(logits, present))
    assert torch.equal(stacker.mean_logits(other, present), stacker.mean_logits(logits, present))


@pytest.mark.parametrize("which", [pytest.param(row, id="".join(str(int(v)) for v in row)) for row in patterns()[1:]])
def test_fit_equals_a_pipeline_of_scikit_learn(which: Tensor) -> None:
    logits, labels = cohort()
    stacked = fit_stacker(logits, labels)(logits, which.expand(len(logits), 3)).double()
    for task in range(3):
        features = logits[:, which, task].double().numpy()
        features = (features - features.mean(0)) / features.std(0)
        expected = LogisticRegression(C=1.0).fit(features, labels[:, task]).decision_function(features)
        assert np.allclose(stacked[:, task], expected, atol=1e-3)


def test_thresholds_are_youdens_on_the_stacked_probability() -> None:
    logits, labels = cohort()
    present = ALL.expand(len(logits), 3)
    stacker = fit_stacker(logits, labels)
    probabilities = stacker(logits, present).sigmoid().double().numpy()
    expected = [youden_threshold(probabilities[:, task], labels[:, task].numpy()) for task in range(3)]
    assert np.allclose(stacker.thresholds(ALL)[0], expected, atol=1e-4)


def test_weighs_the_better_plane_more() -> None:
    logits, labels = cohort(2000)
    weight = fit_stacker(logits, labels).weight[7] * logits.std(0).T  # per standard deviation
    assert (weight[:, 2] > 2 * weight[:, :2].amax(1)).all()


def test_exam_without_a_plane_teaches_only_the_sets_without_it() -> None:
    logits, labels = cohort()
    present = torch.ones(len(logits), 3, dtype=torch.bool)
    present[:50, 0] = False
    damaged = logits.clone()
    damaged[:50, 0] = torch.nan
    whole, gaps, rest = (
        fit_stacker(logits, labels),
        fit_stacker(damaged, labels, present),
        fit_stacker(logits[50:], labels[50:]),
    )
    without, with_axial = [2, 4, 6], [1, 3, 5, 7]
    assert torch.equal(gaps.weight[without], whole.weight[without])
    assert torch.equal(gaps.weight[with_axial], rest.weight[with_axial])


def test_unlabelled_exams_are_left_out_task_by_task() -> None:
    logits, labels = cohort()
    labels[:80, 1] = -1
    stacker, without = fit_stacker(logits, labels), fit_stacker(logits[80:], labels[80:])
    assert torch.equal(stacker.weight[:, 1], without.weight[:, 1])
    assert not torch.equal(stacker.weight[:, 0], without.weight[:, 0])


def test_constant_logits_get_weight_zero() -> None:
    logits, labels = cohort()
    logits[:, 0] = 3.0
    stacker = fit_stacker(logits, labels)
    assert torch.allclose(stacker.weight[7, :, 0], torch.zeros(3), atol=1e-6)
    prevalence = float(labels[:, 0].float().mean())
    only_axial = torch.tensor([[True, False, False]])
    assert float(stacker(logits[:1], only_axial).sigmoid()[0, 0]) == pytest.approx(prevalence, abs=1e-3)


def test_state_dict_is_plain_tensors_and_round_trips(tmp_path: object) -> None:
    stacker, path = fit_stacker(*cohort()), f"{tmp_path}/stacker.pt"
    torch.save(stacker.state_dict(), path)
    loaded = Stacker()
    loaded.load_state_dict(torch.load(path, weights_only=True))
    logits = torch.randn(8, 3, 3)
    assert torch.equal(loaded(logits, patterns()), stacker(logits, patterns()))
    assert {name: tuple(value.shape) for name, value in loaded.state_dict().items()} == {
        "weight": (8, 3, 3),
        "bias": (8, 3),
        "threshold": (8, 3),
    }


def test_torchscript_equals_eager() -> None:
    stacker, logits = fit_stacker(*cohort()), torch.randn(8, 3, 3)
    assert torch.equal(torch.jit.script(stacker)(logits, patterns()), stacker(logits, patterns()))


def one_class() -> tuple[Tensor, Tensor, None]:
    logits, labels = cohort(20)
    labels[:, 1] = 0
    return logits, labels, None


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        pytest.param(one_class(), "task acl has 0 positive and 20 negative .*planes .'axial'.", id="one-class"),
        pytest.param(
            (torch.zeros(4, 3), torch.zeros(4, 3), None),
            r"logits has shape \(4, 3\), expected \(4, 3, 3\)",
            id="logits",
        ),
        pytest.param((torch.zeros(4, 3, 3), torch.zeros(5, 3), None), r"labels has shape \(5, 3\)", id="labels"),
        pytest.param((torch.zeros(4, 3, 3), torch.zeros(4, 3), ALL), r"present has shape \(1, 3\)", id="present"),
        pytest.param((torch.zeros(4, 3, 3), torch.full((4, 3), 2), None), "labels hold 2", id="label-value"),
        pytest.param((torch.full((4, 3, 3), torch.inf), torch.zeros(4, 3), None), "are not finite", id="not-finite"),
    ],
)
def test_bad_tables_are_an_error(tables: tuple[Tensor, Tensor, Tensor | None], message: str) -> None:
    with pytest.raises(ValueError, match=f"fit_stacker: .*{message}"):
        fit_stacker(*tables)
