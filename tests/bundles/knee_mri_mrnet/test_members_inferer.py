"""What the nine members said travels with the answer of the stack."""

import torch
from scripts.members_inferer import MembersInferer, SplitMembersd


def test_the_answer_is_parted_into_stack_and_members() -> None:
    done = SplitMembersd()({"pred": torch.arange(12.0)})
    assert done["pred"].tolist() == [0, 1, 2]
    assert done["members"].tolist() == [[3, 4, 5], [6, 7, 8], [9, 10, 11]]


def test_the_members_are_asked_for() -> None:
    def network(image: torch.Tensor, with_members: bool = False) -> torch.Tensor:
        return image.new_zeros(len(image), 12 if with_members else 3)

    assert MembersInferer()(torch.zeros(2, 3, 1, 4, 4), network).shape == (2, 12)
