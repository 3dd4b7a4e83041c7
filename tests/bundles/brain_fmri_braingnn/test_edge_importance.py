from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.edge_importance import (
    edge_effect,
    gradient_times_input,
    guided_backpropagation,
    importance,
    integrated_gradients,
    margin,
    symmetrise,
)
from scripts.edge_table import edge_table
from scripts.held_network import guided_relu, held
from scripts.network import BrainGNN, BrainGNNEnsemble
from scripts.region_places import read_places

REGIONS = Path(__file__).resolve().parents[3] / "bundles/brain_fmri_braingnn/configs/ho_regions.csv"
N = 14


def graphs(subjects: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(6, N, N, generator=generator, dtype=torch.float64)
    a = torch.rand(6, N, N, generator=generator, dtype=torch.float64)
    images = torch.stack([x + x.mT, (a + a.mT) * (a + a.mT > 1.3)], 1)
    images[:, 1].diagonal(dim1=1, dim2=2).zero_()
    images[1, :, 5], images[1, :, :, 5] = 0, 0  # a missing region
    images[2, 1, 7], images[2, 1, :, 7] = 0, 0  # a region without edges
    return images[:subjects]


def network(**arguments) -> BrainGNN:
    torch.manual_seed(2)
    return BrainGNN(N, channels=(8, 6), num_communities=3, hidden_channels=(9,), **arguments).double().eval()


@pytest.mark.parametrize("readout", ["paper", "region"])
def test_integrated_gradients_are_complete(readout):
    net, images = network(readout=readout), graphs()
    total = integrated_gradients(net, images, 1, num_steps=1000).sum((1, 2))
    effect = edge_effect(net, images, 1)
    assert np.abs(effect).max() > 1e-3
    np.testing.assert_allclose(total, effect, atol=5e-3 * np.abs(effect).max())


def test_effect_of_edges_starts_at_the_logits_of_the_network_itself():
    net, images = network(), graphs()
    with held(net, images), torch.no_grad():
        inside = net(images)
        faded = net(torch.stack([images[:, 0], 0.5 * images[:, 1]], 1))
    torch.testing.assert_close(inside, net(images), rtol=0, atol=1e-12)
    assert (faded - inside).abs().max() > 1e-6  # without being held a common factor changes nothing
    torch.testing.assert_close(net(torch.stack([images[:, 0], 0.5 * images[:, 1]], 1)), net(images))


def test_network_is_as_before_after_the_block_and_after_an_error():
    net, images = network(), graphs()
    with pytest.raises(RuntimeError, match="stop"), held(net, images):
        raise RuntimeError("stop")
    assert "aggregate" not in net.conv1.__dict__ and "select" not in net.pool2.__dict__


def test_gradient_times_input_is_the_derivative():
    net, images = network(), graphs(2)
    found = gradient_times_input(net, images, 1)
    i, j = (images[0, 1] > 0).nonzero()[3].tolist()
    step = torch.zeros_like(images)
    step[0, 1, i, j] = 1e-6
    with torch.no_grad():
        slope = (margin(net(images + step), 1) - margin(net(images - step), 1))[0] / 2e-6
    assert found[0, i, j] == pytest.approx(float(slope * images[0, 1, i, j]), rel=1e-4, abs=1e-9)


def test_gradient_times_input_cancels_because_weights_are_normalised():
    found = gradient_times_input(network(), graphs(), 1)
    assert found.abs().sum() > 1e-3
    torch.testing.assert_close(found.sum((1, 2)), torch.zeros(6, dtype=torch.float64), rtol=0, atol=1e-10)


@pytest.mark.parametrize("relu", [torch.relu, torch.Tensor.relu, torch.nn.functional.relu, torch.nn.ReLU()])
def test_guided_relu_passes_positive_gradients_only(relu):
    x = torch.tensor([1.0, 2.0, -1.0], requires_grad=True)
    weights = torch.tensor([3.0, -4.0, 5.0])
    with guided_relu():
        (relu(x) * weights).sum().backward()
    assert x.grad.tolist() == [3, 0, 0]
    x.grad = None
    (relu(x) * weights).sum().backward()
    assert x.grad.tolist() == [3, -4, 0]


def test_guided_backpropagation_reaches_the_convolutions():
    net, images = network(), graphs()
    assert not torch.allclose(guided_backpropagation(net, images, 1), gradient_times_input(net, images, 1))


def test_importance_is_symmetric_keeps_the_total_and_averages_members():
    torch.manual_seed(0)
    net = BrainGNNEnsemble(2, num_regions=N, channels=(8, 6), num_communities=3, hidden_channels=()).double().eval()
    for member in net.members:
        torch.nn.init.normal_(member.head[-1].weight)
    images = graphs()
    found = importance(net, images, "integrated_gradients", 1, batch_size=4, num_steps=100)
    np.testing.assert_array_equal(found, found.swapaxes(1, 2))
    effect = edge_effect(net, images, 1)
    assert np.abs(effect).max() > 1e-3
    np.testing.assert_allclose(np.triu(found).sum((1, 2)), effect, atol=2e-2 * np.abs(effect).max())
    assert (found[images[:, 1].numpy() == 0] == 0).all()


def test_margin_and_symmetrise_by_hand():
    assert margin(torch.tensor([[1.0, 5.0, 2.0]]), 1).tolist() == [3.5]
    assert symmetrise(torch.tensor([[[0.0, 1], [2, 0]]])).tolist() == [[[0, 3], [3, 0]]]


def test_table_names_the_edge_that_differs():
    places = read_places(str(REGIONS)).head(N)
    maps = {"integrated_gradients": np.ones((4, N, N))}
    for i, j, value in ((3, 9, 5.0), (2, 4, -2.0)):
        maps["integrated_gradients"][2:, i, j] = maps["integrated_gradients"][2:, j, i] = value
    images = torch.zeros(4, 2, N, N)
    images[:3, 1, 3, 9] = 1
    table = edge_table(maps, images, np.array([0, 0, 1, 1]), places, ["control", "patient"], 2)
    assert table["region_a"].tolist() == ["Left Pallidum", "Left Putamen"]
    assert table["region_b"].tolist() == [places["name"][9], places["name"][4]]
    assert table["difference"].tolist() == [4, -3] and table["share_of_subjects"].tolist() == [0.75, 0]
    assert table["integrated_gradients_patient"].tolist() == [5, -2]
    with pytest.raises(ValueError, match="class 'patient' has no subject"):
        edge_table(maps, images, np.zeros(4, int), places, ["control", "patient"])


def test_networks_that_cannot_be_explained_are_refused():
    with pytest.raises(ValueError, match="mode='paper' without attention"):
        integrated_gradients(network(mode="official"), graphs(), 1)
    with pytest.raises(ValueError, match="mode='paper' without attention"):
        integrated_gradients(network(attention=True), graphs(), 1)
    with pytest.raises(ValueError, match="edges=True"):
        importance(network(edges=False), graphs(), "gradient_times_input", 1)
    with pytest.raises(ValueError, match="images with 3 channels"):
        importance(network(), graphs()[:, [0, 1, 1]], "gradient_times_input", 1)
