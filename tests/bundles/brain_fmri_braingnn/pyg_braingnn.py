"""The algorithm of the authors' code on torch_geometric, written from its description: an oracle for tests and timing.

It imports nothing of the bundle; :func:`load` takes the weights of ``BrainGNN(mode="official")``.
"""

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing, TopKPooling, global_max_pool, global_mean_pool
from torch_geometric.utils import add_remaining_self_loops, add_self_loops, dense_to_sparse, remove_self_loops, softmax


class Graphs:
    """A batch in the form that torch_geometric wants: nodes in rows, a list of edges, and one-hot region ids."""

    def __init__(self, image: Tensor) -> None:
        batch, _, regions, _ = image.shape
        self.x = image[:, 0].reshape(batch * regions, -1)
        # edge_index is (source, target); row i of an adjacency holds the edges into i
        self.edge_index, self.weight = dense_to_sparse(image[:, 1].transpose(1, 2).contiguous())
        self.batch = torch.arange(batch).repeat_interleave(regions)
        self.one_hot = torch.eye(regions, dtype=image.dtype).repeat(batch, 1)


class RegionConv(MessagePassing):
    """Convolution whose kernels come from a network of the one-hot region of each NODE: B * N kernels."""

    def __init__(self, in_channels: int, out_channels: int, regions: int, communities: int) -> None:
        super().__init__(aggr="add")
        self.shape = (in_channels, out_channels)
        self.network = nn.Sequential(
            nn.Linear(regions, communities, bias=False), nn.ReLU(), nn.Linear(communities, in_channels * out_channels)
        )
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def transform(self, x: Tensor, one_hot: Tensor, batch: Tensor) -> Tensor:
        kernels = self.network(one_hot).view(-1, *self.shape)
        return torch.bmm(x[:, None, :], kernels)[:, 0]

    def forward(self, x: Tensor, edge_index: Tensor, weight: Tensor, one_hot: Tensor, batch: Tensor) -> Tensor:
        edge_index, weight = add_remaining_self_loops(edge_index, weight, 1.0, len(x))
        attention = softmax(weight, edge_index[1], num_nodes=len(x))
        return self.propagate(edge_index, x=self.transform(x, one_hot, batch), attention=attention) + self.bias

    def message(self, x_j: Tensor, attention: Tensor) -> Tensor:
        return attention[:, None] * x_j


class SharedKernelConv(RegionConv):
    """The same with each of the N kernels built once, and no copies of them: nodes are sorted into (N, B) slots."""

    def transform(self, x: Tensor, one_hot: Tensor, batch: Tensor) -> Tensor:
        regions = one_hot.shape[1]
        kernels = self.network(torch.eye(regions, dtype=x.dtype)).view(-1, *self.shape)
        count = int(batch[-1]) + 1
        slot = one_hot.argmax(1) * count + batch
        slots = x.new_zeros(regions * count, x.shape[1]).index_copy(0, slot, x)
        return torch.bmm(slots.view(regions, count, -1), kernels).flatten(0, 1)[slot]


class PygBrainGNN(nn.Module):
    """Two convolutions and poolings, readouts (max || mean) and the head; returns logits and the selected scores."""

    def __init__(
        self,
        regions: int,
        head: nn.Module,
        channels: tuple[int, int] = (32, 32),
        communities: int = 8,
        ratio: float = 0.5,
        conv: type[RegionConv] = RegionConv,
    ) -> None:
        super().__init__()
        first, second = channels
        self.conv1 = conv(regions, first, regions, communities)
        self.conv2 = conv(first, second, regions, communities)
        self.pool1 = TopKPooling(first, ratio, nonlinearity=torch.sigmoid)
        self.pool2 = TopKPooling(second, ratio, nonlinearity=torch.sigmoid)
        self.head = head

    def forward(self, graphs: Graphs) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Logits, gates of the kept nodes of both layers, and the kept nodes as rows of the batch of all regions."""
        x, edges, weight, batch, one_hot = graphs.x, graphs.edge_index, graphs.weight, graphs.batch, graphs.one_hot
        rows = torch.arange(len(x))
        seen, gates, kept = [], [], []
        for layer in (1, 2):
            conv, pool = (self.conv1, self.pool1) if layer == 1 else (self.conv2, self.pool2)
            x = conv(x, edges, weight, one_hot, batch)
            x, edges, weight, batch, index, gate = pool(x, edges, weight, batch)
            one_hot, rows = one_hot[index], rows[index]
            seen.append(torch.cat([global_max_pool(x, batch), global_mean_pool(x, batch)], dim=1))
            gates.append(gate)
            kept.append(rows)
            if layer == 1:
                edges, weight = augment(edges, weight, len(x))
        return self.head(torch.cat(seen, dim=1)), gates, kept


def augment(edge_index: Tensor, weight: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """Sparse (A + I)^2 without its diagonal."""
    edge_index, weight = add_self_loops(edge_index, weight, fill_value=1.0, num_nodes=nodes)
    matrix = torch.sparse_coo_tensor(edge_index, weight, (nodes, nodes)).to_sparse_csr()
    squared = (matrix @ matrix).to_sparse_coo()
    return remove_self_loops(squared.indices(), squared.values())


def load(state: dict[str, Tensor], head: nn.Module, ratio: float, conv: type[RegionConv] = RegionConv) -> PygBrainGNN:
    """Port with the weights ``state`` of an official-mode network; ``head`` is a copy of its own."""
    regions, communities = state["conv1.alpha"].shape
    channels = (len(state["conv1.bias"]), len(state["conv2.bias"]))
    port = PygBrainGNN(regions, head, channels, communities, ratio, conv).to(state["conv1.alpha"].dtype)
    with torch.no_grad():
        for layer in (1, 2):
            own, pool = getattr(port, f"conv{layer}"), getattr(port, f"pool{layer}")
            own.network[0].weight.copy_(state[f"conv{layer}.alpha"].T)
            own.network[2].weight.copy_(state[f"conv{layer}.basis"].flatten(1).T)
            own.network[2].bias.copy_(state[f"conv{layer}.kernel_bias"].flatten())
            own.bias.copy_(state[f"conv{layer}.bias"])
            pool.select.weight.copy_(state[f"pool{layer}.weight"][None])
        head[0].weight.copy_(state["head.0.weight"][:, readout_order(*channels)])
    return port


def readout_order(first: int, second: int) -> Tensor:
    """Columns of a readout mean || max || mean || max in the order max || mean || max || mean of the authors' code."""
    blocks = torch.arange(2 * (first + second)).split([first, first, second, second])
    return torch.cat([blocks[1], blocks[0], blocks[3], blocks[2]])
