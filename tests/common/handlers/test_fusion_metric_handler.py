import pytest
import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedEvaluator
from monai.handlers import from_engine
from torch import Tensor

from common.handlers.fusion_metric_handler import FusionMetricHandler
from common.metrics import FUSION_METRICS


class First(torch.nn.Module):
    """Fuse by the mean of the sources."""

    def forward(self, image: Tensor) -> Tensor:
        return image.mean(1, keepdim=True)


def loader(sizes: tuple[int, ...]) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [{"image": (torch.rand(2, 2, n, n, generator=generator) * 255).round() / 255} for n in sizes]


def run(handler: FusionMetricHandler, sizes: tuple[int, ...]) -> SupervisedEvaluator:
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=loader(sizes),
        network=First(),
        prepare_batch=lambda batch, *_, **__: (batch["image"], None),
        key_val_metric={"fusion": handler},
    )
    evaluator.run()
    return evaluator


@pytest.mark.parametrize("name", ["qabf", "ssim", "rmse"])
def test_key_metric_is_the_mean_over_images(name: str) -> None:
    handler = FusionMetricHandler(name, output_transform=from_engine(["pred", "image"]))
    state = run(handler, (40, 48)).state
    expected = []
    for batch in loader((40, 48)):
        sources = (batch["image"] * 255).round()
        expected += FUSION_METRICS[name]((batch["image"].mean(1, keepdim=True) * 255).round(), sources).tolist()
    assert state.metrics["fusion"] == pytest.approx(sum(expected) / 4)
    assert state.metric_details["fusion"].shape == (4, 1)


def test_works_from_a_config() -> None:
    config = {
        "metric": {
            "_target_": "common.handlers.fusion_metric_handler.FusionMetricHandler",
            "name": "vif",
            "output_transform": "$monai.handlers.from_engine(['pred', 'image'])",
        },
        "imports": ["$import monai"],
    }
    handler = ConfigParser(config).get_parsed_content("metric")
    assert run(handler, (41,)).state.metrics["fusion"] > 0


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="name is 'mse'"):
        FusionMetricHandler("mse")
