from pathlib import Path

import pytest
import torch
from scripts.names import PLANES, TASKS
from scripts.stack_network import MRNetStack
from torch import Tensor, nn

SIZE = 64


def exams() -> Tensor:
    """(2, 3, 4, H, W): the first has short planes, the second no coronal plane."""
    image = torch.rand(2, 3, 4, SIZE, SIZE)
    image[0, 2, 2:] = 0
    image[1, 1] = 0
    return image


def network(**settings: object) -> MRNetStack:
    """In evaluation, with heads and stacker drawn so that no term is small."""
    net = MRNetStack("alexnet", **settings).eval()  # type: ignore[arg-type]
    for tensor in (*net.heads.parameters(), net.stacker.weight, net.stacker.bias):
        nn.init.normal_(tensor.data)
    return net


@pytest.fixture(params=[True, False], ids=["shared", "nine"])
def net(request: pytest.FixtureRequest) -> MRNetStack:
    return network(shared_backbone=request.param)


def test_members_give_the_logits(net: MRNetStack) -> None:
    image = exams()
    logits, present = net.member_logits(image)
    assert present.tolist() == [[True, True, True], [True, False, True]]
    for k, plane in enumerate(PLANES):
        for t, task in enumerate(TASKS):
            assert torch.allclose(logits[:, k, t], net.member(plane, task)(image[:, k])[:, 0], atol=1e-5)
    assert torch.allclose(net(image), net.stacker(logits, present))


def test_absent_plane_and_padding_have_no_influence(net: MRNetStack) -> None:
    image = exams()
    one = net(torch.nn.functional.pad(image[1:], (0, 0, 0, 0, 0, 3)))
    assert torch.allclose(net(image)[1:], one, atol=1e-5)
    logits, present = net.member_logits(image[1:])
    logits[:, 1] = 100
    assert torch.allclose(net.stacker(logits, present), one, atol=1e-5)


def test_exam_without_planes_gets_zero_from_a_new_stacker() -> None:
    assert torch.equal(MRNetStack("alexnet")(torch.zeros(1, 3, 2, SIZE, SIZE)), torch.zeros(1, 3))


def test_member_shares_its_weights_with_the_stack(net: MRNetStack) -> None:
    member, image = net.member("sagittal", "acl"), exams()
    before, _ = net.member_logits(image)
    nn.init.ones_(member.head.classifier[-1].bias)
    member.head.classifier[-1].weight.data.zero_()
    after, _ = net.member_logits(image)
    assert torch.equal(after[:, 2, 1], torch.ones(2))
    changed = (before != after).any(0)
    assert changed.nonzero().tolist() == [[2, 1]]


def test_shared_backbone_runs_once_for_all_heads() -> None:
    net, shapes = network(), []
    net.backbones["shared"].features.register_forward_hook(lambda _, inputs, __: shapes.append(tuple(inputs[0].shape)))
    net(exams())
    assert shapes == [(2 * 3 * 4, 1, SIZE, SIZE)]


@pytest.mark.parametrize(("shared", "copies"), [(True, 1), (False, 9)])
def test_state_dict_holds_every_backbone_once(shared: bool, copies: int) -> None:
    state = MRNetStack("alexnet", shared_backbone=shared).state_dict()
    assert sum(name.endswith("features.0.weight") for name in state) == copies
    heads = {name.split(".")[1] for name in state if name.startswith("heads.")}
    assert heads == {f"{plane}_{task}" for plane in PLANES for task in TASKS}


def test_logits_from_stored_features_equal_those_of_the_image() -> None:
    net, image = network(), exams()
    features = torch.stack([net.member(plane, "acl").slice_features(image[:, k]) for k, plane in enumerate(PLANES)], 1)
    assert torch.allclose(net.logits_from_features(features), net.member_logits(image)[0], atol=1e-5)


def test_frozen_backbone_leaves_only_heads_to_train() -> None:
    trained = {name.split(".")[0] for name, p in network(freeze_backbone=True).named_parameters() if p.requires_grad}
    assert trained == {"heads"}


@pytest.mark.parametrize("pooling", ["max", "attention"])
@pytest.mark.parametrize("shared", [True, False])
def test_torchscript_equals_eager(pooling: str, shared: bool) -> None:
    net, image = network(pooling=pooling, head="mlp", shared_backbone=shared), exams()
    with torch.no_grad():
        assert torch.allclose(torch.jit.script(net)(image), net(image), rtol=0, atol=1e-5)


def test_torch_export_takes_any_number_of_exams_and_slices(net: MRNetStack) -> None:
    dims = ({0: torch.export.Dim("exams"), 2: torch.export.Dim("slices")},)
    program = torch.export.export(net, (exams(),), dynamic_shapes=dims)
    image = torch.rand(3, 3, 5, SIZE, SIZE)
    image[2, 0] = 0
    with torch.no_grad():
        assert torch.allclose(program.module()(image), net(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "attention"])
def test_onnx_equals_eager(pooling: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    from monai.networks.utils import convert_to_onnx

    net, image, path = network(pooling=pooling), exams()[1:], str(tmp_path / "model.onnx")
    convert_to_onnx(net, (image,), filename=path, use_trace=False)
    session = runtime.InferenceSession(path)
    (output,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        assert torch.allclose(torch.as_tensor(output), net(image), rtol=0, atol=1e-5)


def test_unknown_member_is_an_error() -> None:
    with pytest.raises(ValueError, match="member_name: plane is 'oblique'"):
        network().member("oblique", "acl")
