import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.gene_graph import coexpression_graph, interaction_graph
from torch import Tensor

GENES = ["TP53", "EGFR", "NA", "MYC", "KRAS"]


def expression(cells: int = 12, genes: int = 9) -> Tensor:
    return torch.randn(cells, genes, generator=torch.Generator().manual_seed(0))


def naive(values: Tensor, neighbours: int) -> np.ndarray:
    correlation = np.corrcoef(values.double().numpy(), rowvar=False)
    adjacency = np.zeros_like(correlation)
    for gene in range(len(correlation)):
        others = [other for other in np.argsort(-correlation[gene]) if other != gene]
        for other in others[:neighbours]:
            if correlation[gene, other] > 0:
                adjacency[gene, other] = adjacency[other, gene] = correlation[gene, other]
    return adjacency


@pytest.mark.parametrize("neighbours", [1, 3, 8, 100])
def test_coexpression_equals_a_loop_over_correlations(neighbours: int) -> None:
    graph = coexpression_graph(expression(), neighbours)
    np.testing.assert_allclose(graph, naive(expression(), neighbours), atol=1e-6)
    assert torch.equal(graph, graph.T) and graph.dtype == torch.float32


def test_opposite_genes_and_constant_ones_have_no_edge() -> None:
    values = expression(12, 3)
    values[:, 1], values[:, 2] = -values[:, 0], 4.2
    assert (coexpression_graph(values) == 0).all()
    values[:, 1] = 3 * values[:, 0] + 7
    assert coexpression_graph(values)[0, 1] == pytest.approx(1)


def test_cells_without_expression_are_left_out() -> None:
    holes = torch.cat([expression(), torch.full((2, 9), torch.nan)])
    assert torch.equal(coexpression_graph(holes, 3), coexpression_graph(expression(), 3))


def test_bad_neighbours_and_too_few_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="neighbours is 0, it must be 1 or more"):
        coexpression_graph(expression(), 0)
    with pytest.raises(ValueError, match="2 of 3 cells have expression, 3 or more are needed"):
        coexpression_graph(torch.cat([expression(2), torch.full((1, 9), torch.nan)]))


def table(folder: Path, text: str) -> Path:
    path = folder / "interactions.csv"
    path.write_text(text)
    return path


def test_interactions_become_a_symmetric_graph(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = "a,b,weight\nTP53,MYC,0.5\nMYC,TP53,0.8\nEGFR,NA,0.3\nKRAS,KRAS,1\nTP53,BRAF,1\n"
    with caplog.at_level(logging.INFO, "gene_graph"):
        graph = interaction_graph(table(tmp_path, rows), GENES)
    expected = torch.zeros(5, 5)
    expected[0, 3] = expected[3, 0] = 0.8
    expected[1, 2] = expected[2, 1] = 0.3  # the symbol NA is no missing value
    assert torch.equal(graph, expected)
    assert "3 of 5 pairs connect 4 of 5 genes" in caplog.text


def test_pairs_without_weights_weigh_one(tmp_path: Path) -> None:
    graph = interaction_graph(table(tmp_path, "a,b\nTP53,MYC\n"), GENES)
    assert graph.sum() == 2 and graph[0, 3] == graph[3, 0] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a\nTP53\n", "has 1 column, expected two with gene symbols", id="one column"),
        pytest.param("a,b\n7157,4609\n", "none of the 1 pairs .* is of two of the 5 genes", id="other symbols"),
        pytest.param("a,b,w\nTP53,MYC,1\nTP53,NA,high\n", "row 2 .* has the weight 'high'", id="text"),
        pytest.param("a,b,w\nTP53,MYC,-1\n", "row 1 .* has the weight '-1', expected a number > 0", id="negative"),
    ],
)
def test_bad_tables_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        interaction_graph(table(tmp_path, text), GENES)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv does not exist; give a CSV file"):
        interaction_graph(tmp_path / "nothing.csv", GENES)
