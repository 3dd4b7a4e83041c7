import torch
from monai.transforms import RandGaussianNoised

from common.transforms import CaseSeeded


def draw(transform: CaseSeeded, name: str) -> torch.Tensor:
    return torch.as_tensor(transform({"image": torch.zeros(1, 4), "id": name})["image"])


def make(seed: int = 0) -> CaseSeeded:
    return CaseSeeded([RandGaussianNoised("image", prob=1.0)], seed=seed)


def test_draws_depend_on_seed_epoch_and_case_only() -> None:
    first, second = make(), make()
    draw(first, "b")  # another case in between changes nothing
    assert torch.equal(draw(first, "a"), draw(second, "a"))
    assert not torch.equal(draw(first, "a"), draw(first, "b"))
    assert not torch.equal(draw(make(1), "a"), draw(second, "a"))
    before = draw(second, "a")
    second.epoch = 2
    assert not torch.equal(draw(second, "a"), before)


def test_the_epoch_reaches_workers_that_live_on() -> None:
    transform = make()
    data = [{"image": torch.zeros(1, 4), "id": "a"}] * 2

    class Set(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(data)

        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.as_tensor(transform(data[index])["image"])

    loader = torch.utils.data.DataLoader(Set(), batch_size=2, num_workers=1, persistent_workers=True)
    first = next(iter(loader))
    transform.epoch = 5
    assert not torch.equal(next(iter(loader)), first)
