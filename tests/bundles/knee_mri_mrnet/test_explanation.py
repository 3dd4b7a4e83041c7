import numpy as np
import pytest
import torch
from monai.visualize import GradCAM
from scripts.backbones import Backbone
from scripts.explanation import (
    feature_maps,
    inside_body,
    peak,
    pointing_chance,
    pointing_hit,
    slice_maps,
    upsample_maps,
)
from scripts.network import MRNet


def make_network(head: str = "linear", pooling: str = "max") -> MRNet:
    layers = torch.nn.Sequential(torch.nn.Conv2d(1, 12, 5, stride=4), torch.nn.BatchNorm2d(12), torch.nn.ReLU())
    network = MRNet(Backbone("small", layers, 12, 0.4, 0.2), head, pooling, dropout=0.5)
    return network.train()  # dropout must not reach the explanation


def make_exam(slices: int = 5, empty: tuple[int, ...] = (2, 4)) -> torch.Tensor:
    image = torch.rand(1, slices, 29, 37)
    image[0, list(empty)] = 0
    return image


def test_the_maps_of_a_linear_head_sum_to_the_logit_without_bias() -> None:
    network, image = make_network(), make_exam()
    found = slice_maps(network, image)
    assert found.logit == pytest.approx(float(network.eval()(image)), abs=1e-5)
    bias = float(network.head.classifier[-1].bias)
    assert float(found.maps.sum()) == pytest.approx(found.logit - bias, abs=1e-4)
    assert found.slice_scores.tolist() == pytest.approx(found.maps.sum(dim=(1, 2)).tolist())


def test_each_feature_is_drawn_in_the_slice_that_won_it() -> None:
    network, image = make_network(), make_exam()
    maps = slice_maps(network, image).maps
    with torch.no_grad():
        activation = network.backbone(image[0, :, None])  # (S, F, h, w)
        weight = network.head.classifier[-1].weight[0]
        expected = torch.zeros_like(maps)
        for feature in range(12):
            pooled = [float(activation[s, feature].mean()) if s not in (2, 4) else -1.0 for s in range(5)]
            s = int(np.argmax(pooled))
            expected[s] += weight[feature] * activation[s, feature] / activation[s, feature].numel()
    assert torch.allclose(maps, expected, atol=1e-6)


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_single_slice_equals_grad_cam_of_monai(head: str) -> None:
    network, image = make_network(head).eval(), make_exam(1, ())
    raw = GradCAM(network, "backbone.features", postprocessing=lambda maps: maps).compute_map(image, class_idx=0)
    mine = slice_maps(network, image).maps.clamp(min=0)
    assert mine.max() > 0
    assert torch.allclose(mine, raw[0].detach(), atol=1e-6)


@pytest.mark.parametrize(("head", "pooling"), [("mlp", "max"), ("linear", "attention")])
def test_other_heads_are_explained_too(head: str, pooling: str) -> None:
    network, image = make_network(head, pooling), make_exam()
    found = slice_maps(network, image)
    assert found.logit == pytest.approx(float(network.eval()(image)), abs=1e-5)
    assert found.maps.abs().sum() > 0


def test_empty_slices_do_not_win_even_when_all_evidence_is_negative() -> None:
    network, image = make_network(), make_exam()
    with torch.no_grad():
        network.head.classifier[-1].weight.copy_(-network.head.classifier[-1].weight.abs())
    found = slice_maps(network, image)
    assert found.slice_scores[[0, 1, 3]].max() < 0
    assert found.slice_scores[[2, 4]].tolist() == [0, 0]
    assert found.winner in (0, 1, 3)
    assert found.slice_scores[found.winner] == found.slice_scores[[0, 1, 3]].max()


def test_shared_features_and_padding_change_nothing_and_the_mode_stays() -> None:
    network, image = make_network().requires_grad_(False), make_exam(empty=())
    found = slice_maps(network, image)
    again = slice_maps(network, image, feature_maps(network, image))
    padded = slice_maps(network, torch.cat([image, torch.zeros(1, 3, 29, 37)], dim=1))
    assert torch.equal(found.maps, again.maps)
    assert torch.allclose(found.maps, padded.maps[:5], atol=1e-6)
    assert padded.winner == found.winner
    assert network.training


@pytest.mark.parametrize("image", [torch.zeros(1, 3, 8, 8), torch.ones(2, 3, 8, 8), torch.ones(3, 8, 8)])
def test_what_is_not_one_exam_is_refused(image: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="feature_maps: image has shape .* give one exam"):
        slice_maps(make_network(), image)


def test_upsampling_keeps_the_place_of_a_cell() -> None:
    maps = torch.zeros(3, 8, 8)
    maps[1, 2, 5] = 1
    s, row, column = peak(upsample_maps(maps, (256, 256)))
    assert s == 1
    assert (row, column) == pytest.approx((2.5 * 32, 5.5 * 32), abs=1)
    maps[1, 2, 5], maps[2, 0, 7] = 0, 1  # a corner: flat from the middle of the cell outward
    s, row, column = peak(upsample_maps(maps, (256, 256)))
    assert s == 2
    assert row < 16 and column > 240


def planted(shape: tuple[int, ...], place: tuple[int, ...]) -> np.ndarray:
    volume = np.zeros(shape)
    volume[place] = 1
    return volume


@pytest.mark.parametrize(
    ("place", "hit"),
    [
        pytest.param((3, 20, 20), True, id="inside"),
        pytest.param((3, 25, 20), True, id="at the tolerance"),
        pytest.param((3, 26, 20), False, id="beyond it"),
        pytest.param((4, 23, 24), True, id="neighbour slice, 3-4-5"),
        pytest.param((4, 24, 24), False, id="neighbour slice, diagonal"),
        pytest.param((5, 20, 20), False, id="two slices away"),
    ],
)
def test_slice_and_place_must_both_hit(place: tuple[int, int, int], hit: bool) -> None:
    mask = planted((8, 40, 40), (3, 20, 20))
    assert pointing_hit(planted((8, 40, 40), place), mask, tolerance_px=5) is hit


def test_one_slice_is_the_original_game() -> None:
    mask = planted((40, 40), (20, 20))
    assert pointing_hit(planted((40, 40), (17, 20)), mask, tolerance_px=3)
    assert not pointing_hit(planted((40, 40), (16, 20)), mask, tolerance_px=3)


def test_chance_is_what_random_pointing_hits() -> None:
    mask = planted((6, 30, 30), (2, 10, 10))
    inside = np.zeros((6, 30, 30), dtype=bool)
    inside[:, 5:25, 5:25] = True
    chance = pointing_chance(mask, 4, inside)
    naive = np.mean([pointing_hit(planted(mask.shape, tuple(p)), mask, 4) for p in np.argwhere(inside)[::3]])
    assert chance == pytest.approx(3 * 49 / inside.sum())  # 49 pixels within 4 px, in three slices
    assert naive == pytest.approx(chance, abs=0.01)
    assert pointing_chance(mask, 4) == pytest.approx(3 * 49 / mask.size)


def test_bad_masks_are_refused() -> None:
    empty = np.zeros((2, 4, 4))
    with pytest.raises(ValueError, match="upsample the maps"):
        pointing_hit(empty, np.zeros((2, 8, 8)))
    with pytest.raises(ValueError, match="the mask is empty"):
        pointing_hit(empty, empty)
    with pytest.raises(ValueError, match="inside is empty"):
        pointing_chance(planted((2, 4, 4), (0, 1, 1)), 1, empty.astype(bool))


def test_the_body_is_found_without_air_and_with_dark_bone() -> None:
    rows, columns = np.mgrid[:128, :128] - 64.0
    radius = np.hypot(rows, columns)
    noise = 0.03 * np.random.default_rng(0).random((2, 128, 128))
    plane = np.where(radius < 48, 0.6, 0) * np.where(radius < 12, 0, 1) + noise  # a ring: dark in the middle
    body = inside_body(plane)
    truth = np.broadcast_to(radius < 48, body.shape)
    assert (body & truth).sum() * 2 / (body.sum() + truth.sum()) > 0.95
    assert body[:, 64, 64].all()
    assert not body[:, :8].any()
