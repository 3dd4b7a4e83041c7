import pytest
import torch
from scripts.three_plane import MRNet3Plane, PlanesHead
from torch import Tensor

SIZE = 64


def exams() -> Tensor:
    """(2, 3, 4, H, W): the first has short planes, the second no coronal plane."""
    image = torch.rand(2, 3, 4, SIZE, SIZE)
    image[0, 2, 2:] = 0
    image[1, 1] = 0
    return image


@pytest.fixture(params=["max", "attention"])
def net(request: pytest.FixtureRequest) -> MRNet3Plane:
    return MRNet3Plane("alexnet", pooling=request.param).eval()


def test_joins_the_planes_of_an_exam(net: MRNet3Plane) -> None:
    image = exams()
    pooled = [pooling(net.backbone.slice_features(image[:, plane])) for plane, pooling in enumerate(net.head.poolings)]
    expected = net.head.classifier(torch.cat(pooled, 1))
    assert net(image).shape == (2, 3)
    assert torch.allclose(net(image), expected, atol=1e-6)


def test_absent_plane_gives_zeros_and_padding_has_no_influence(net: MRNet3Plane) -> None:
    image = exams()
    pooled = net.head.pooled(net.slice_features(image))
    assert torch.equal(pooled[1, 256:512], torch.zeros(256))
    assert (pooled[0] != 0).any() and (pooled[1, :256] != 0).any()
    padded = torch.nn.functional.pad(image, (0, 0, 0, 0, 0, 3))
    assert torch.allclose(net(padded), net(image), atol=1e-6)


def test_head_on_stored_features_equals_the_network(net: MRNet3Plane) -> None:
    image = exams()
    features = net.slice_features(image)
    assert features.shape == (2, 3, 4, 256)
    assert torch.equal(net.head(features), net(image))
    assert torch.equal(net.head_from_features(features), net(image))


def test_tasks_see_every_plane() -> None:
    net, image = MRNet3Plane("alexnet").eval(), exams().requires_grad_()
    for task in range(3):
        (gradient,) = torch.autograd.grad(net(image)[0, task], image)
        assert gradient[0].flatten(1).abs().amax(1).min() > 0


def test_seed_fixes_the_weights_of_the_head() -> None:
    one, two = PlanesHead(8, "mlp", "attention"), PlanesHead(8, "mlp", "attention")
    one.reset_parameters(1)
    two.reset_parameters(1)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_frozen_backbone_leaves_only_the_head_to_train() -> None:
    net = MRNet3Plane("alexnet", freeze_backbone=True)
    assert {name.split(".")[0] for name, p in net.named_parameters() if p.requires_grad} == {"head"}


def test_torchscript_and_torch_export_equal_eager(net: MRNet3Plane) -> None:
    dims = ({0: torch.export.Dim("exams"), 2: torch.export.Dim("slices")},)
    program = torch.export.export(net, (exams(),), dynamic_shapes=dims)
    image = torch.rand(3, 3, 5, SIZE, SIZE)
    with torch.no_grad():
        for exported in (program.module(), torch.jit.script(net)):
            assert torch.allclose(exported(image), net(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"backbone": "vgg16"}, "name is 'vgg16'", id="backbone"),
        pytest.param({"backbone": "alexnet", "head": "conv"}, "head is 'conv'", id="head"),
        pytest.param({"backbone": "alexnet", "pooling": "mean"}, "pooling is 'mean'", id="pooling"),
    ],
)
def test_unknown_name_is_an_error(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MRNet3Plane(**settings)  # type: ignore[arg-type]
