import os
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from nilearn.maskers import NiftiLabelsMasker

from common.transforms import LoadMatrix, LoadMatrixd, LoadRegionSeries, LoadRegionSeriesd

TABLE = Path(__file__).resolve().parents[3] / "bundles/brain_fmri_braingnn/configs/ho_regions.csv"
CODES = (30, 10, 20)  # the table need not be sorted
FRAMES = 70


@pytest.fixture
def regions(tmp_path: Path) -> str:
    file = tmp_path / "regions.csv"
    file.write_text("code,name,side\n" + "".join(f"{code},Region {code},L\n" for code in CODES))
    return str(file)


def write(file: Path, values: np.ndarray, header: str | None = None, delimiter: str = "\t") -> str:
    if file.suffix == ".npy":
        np.save(file, values)
    else:
        np.savetxt(file, values, delimiter=delimiter, header=header or "", comments="", fmt="%.6f")
    return str(file)


def numbers(columns: int = 4, frames: int = FRAMES) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(frames, columns)).round(5)


@pytest.mark.parametrize(
    ("name", "header", "delimiter"),
    [
        pytest.param("s.1D", "#10\t#20\t#30\t#40", "\t", id="1D"),
        pytest.param("s.csv", "10,20,30,40", ",", id="csv"),
        pytest.param("s.csv", '"#10";"#20";"#30";"#40"', ";", id="semicolon"),
        pytest.param("s.tsv", "10\t20\t30\t40", "\t", id="tsv"),
        pytest.param("s.txt", "#10 #20 #30 #40", " ", id="txt"),
    ],
)
def test_a_header_chooses_and_orders_the_regions(
    tmp_path: Path, regions: str, name: str, header: str, delimiter: str
) -> None:
    series = LoadRegionSeries(regions)(write(tmp_path / name, numbers(), header, delimiter))
    assert series.dtype == torch.float32 and series.shape == (FRAMES, 3)
    np.testing.assert_allclose(series, numbers()[:, [2, 0, 1]], atol=1e-6)


@pytest.mark.parametrize("name", ["s.npy", "s.1D"])
def test_without_a_header_columns_are_the_table_or_the_whole_atlas(tmp_path: Path, regions: str, name: str) -> None:
    own = LoadRegionSeries(regions, dropped_codes=[15])(write(tmp_path / name, numbers(3)))
    np.testing.assert_allclose(own, numbers(3), atol=1e-6)
    full = LoadRegionSeries(regions, dropped_codes=[15])(write(tmp_path / name, numbers(4)))
    np.testing.assert_allclose(full, numbers(4)[:, [3, 0, 2]], atol=1e-6)  # 10, 15, 20, 30
    assert LoadRegionSeries()(write(tmp_path / name, numbers(5))).shape == (FRAMES, 5)


def test_regions_constant_over_time_become_zeros(tmp_path: Path) -> None:
    values = 1000 + numbers()
    values[:, 1], values[:, 2] = 1000.0, 0.0
    series = LoadRegionSeries()(write(tmp_path / "s.npy", values))
    assert not series[:, 1:3].any() and series[:, [0, 3]].all()


@pytest.mark.parametrize(
    ("name", "values", "header", "message"),
    [
        pytest.param("s7.1D", numbers(3), "#10\t#20\t#40", "s7.1D lacks 1 of the 3 regions .* first code 30", id="codes"),
        pytest.param("s7.1D", numbers(5), None, "s7.1D has 5 regions, expected 3 or 4", id="count"),
        pytest.param("s7.npy", numbers(3)[:40], None, "s7.npy has 40 frames, fewer than min_frames 60", id="short"),
        pytest.param("s7.npy", np.where(numbers(3) > 2, np.nan, numbers(3)), None, "s7.npy holds NaN .* first column", id="nan"),
        pytest.param("s7.npy", numbers(3)[0], None, r"s7.npy has shape \(3,\)", id="1-d"),
        pytest.param("s7.1D", numbers(4), "#10\t#20\t#30", "s7.1D has shape", id="header-length"),
    ],
)  # fmt: skip
def test_bad_tables_are_refused_by_name(
    tmp_path: Path, regions: str, name: str, values: np.ndarray, header: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LoadRegionSeries(regions, dropped_codes=[15])(write(tmp_path / name, values, header))


def test_other_bad_files_are_refused_by_name(tmp_path: Path, regions: str) -> None:
    (tmp_path / "s7.csv").write_text("1,2,3\n4,x,6\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "s7.mat").write_text("")
    for name, message in {"s7.csv": "s7.csv is no table", "empty.csv": "no rows", "s7.mat": "unknown type"}.items():
        with pytest.raises(ValueError, match=message):
            LoadRegionSeries(regions)(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="gone.1D does not exist"):
        LoadRegionSeries(regions)(tmp_path / "gone.1D")
    with pytest.raises(FileNotFoundError, match="none.csv' does not exist"):
        LoadRegionSeries(str(tmp_path / "none.csv"))(write(tmp_path / "s.npy", numbers(3)))
    with pytest.raises(ValueError, match="min_frames is 2"):
        LoadRegionSeries(min_frames=2)


def images(folder: Path, name: str = "sub-01_task-rest_bold") -> tuple[str, str]:
    """A 4-D image and an atlas on a finer grid: regions 10, 20, 30 and 40 (not in the table), slabs along x."""
    labels = np.zeros((16, 8, 8), np.int16)
    for k, code in enumerate((10, 20, 30, 40)):
        labels[4 * k : 4 * k + 4, 2:, :] = code
    rng = np.random.default_rng(1)
    values = rng.normal(size=(8, 4, 4, FRAMES)) + 100
    for k in range(4):
        values[2 * k : 2 * k + 2] += rng.normal(size=FRAMES)
    bold = nibabel.Nifti1Image(values.astype(np.float32), np.diag([2.0, 2, 2, 1]))
    bold.header.set_zooms((2, 2, 2, 2.5))
    bold.header.set_xyzt_units("mm", "sec")
    affine = np.eye(4)
    affine[:3, 3] = -0.5
    nibabel.save(bold, folder / f"{name}.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels, affine), folder / "atlas.nii.gz")
    return str(folder / f"{name}.nii.gz"), str(folder / "atlas.nii.gz")


def masked(image: str, atlas: str, **settings: object) -> np.ndarray:
    return NiftiLabelsMasker(atlas, reports=False, **settings).fit_transform(image)[:, [2, 0, 1]]


def test_an_image_is_averaged_and_cleaned_as_nilearn_does(tmp_path: Path, regions: str) -> None:
    image, atlas = images(tmp_path)
    series = LoadRegionSeries(regions, atlas=atlas, low_pass_hz=0.1, high_pass_hz=0.01)(image)
    expected = masked(image, atlas, standardize="zscore_sample", detrend=True, low_pass=0.1, high_pass=0.01, t_r=2.5)
    assert series.shape == (FRAMES, 3)
    np.testing.assert_allclose(series, expected, atol=1e-4)
    plain = LoadRegionSeries(regions, atlas=atlas, standardize=False, detrend=False)(image)
    np.testing.assert_allclose(plain, masked(image, atlas, standardize=None), atol=1e-4)
    slower = LoadRegionSeries(regions, atlas=atlas, low_pass_hz=0.1, high_pass_hz=0.01, tr_seconds=1.0)(image)
    assert (slower - series).abs().max() > 0.1
    assert LoadRegionSeries(atlas=atlas)(image).shape == (FRAMES, 4)


def test_confounds_beside_the_image_are_regressed_out(tmp_path: Path, regions: str) -> None:
    image, atlas = images(tmp_path)
    plain = LoadRegionSeries(regions, atlas=atlas)(image)
    table = pd.DataFrame({"motion": plain[:, 0].numpy(), "other": numbers(1)[:, 0], "rate": [np.nan, *range(69)]})
    table.to_csv(tmp_path / "sub-01_task-rest_confounds.tsv", sep="\t", index=False, na_rep="n/a")
    load = LoadRegionSeries(
        regions, atlas=atlas, confounds_suffix="_confounds.tsv", confound_columns=["motion", "rate"], standardize=False
    )
    assert load(image)[:, 0].abs().max() < 1e-3 and load(image)[:, 1].std() > 0.1
    with pytest.raises(ValueError, match="no column 'fd'"):
        LoadRegionSeries(regions, atlas=atlas, confounds_suffix="_confounds.tsv", confound_columns=["fd"])(image)
    with pytest.raises(FileNotFoundError, match="no table of confounds beside it"):
        LoadRegionSeries(regions, atlas=atlas, confounds_suffix="_regressors.tsv")(image)
    table[:-1].to_csv(tmp_path / "sub-01_task-rest_confounds.tsv", sep="\t", index=False)
    with pytest.raises(ValueError, match="has 69 rows of confounds.* has 70 frames"):
        load(image)


def test_a_region_outside_the_image_or_without_signal_is_missing(tmp_path: Path, regions: str) -> None:
    image, atlas = images(tmp_path)
    whole = nibabel.load(image)
    values = whole.get_fdata()[:5]  # region 30 lies behind
    values[2:4] = 100.0  # region 20
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), whole.affine, whole.header), image)
    labels = nibabel.load(atlas).get_fdata()
    labels[8:10] = 0
    nibabel.save(nibabel.Nifti1Image(labels.astype(np.int16), nibabel.load(atlas).affine), atlas)
    series = LoadRegionSeries(regions, atlas=atlas)(image)
    assert not series[:, 0].any() and not series[:, 2].any() and series[:, 1].any()


def test_replicates_are_seeded_means_of_a_third_of_the_voxels(tmp_path: Path, regions: str) -> None:
    image, atlas = images(tmp_path)
    load = LoadRegionSeries(regions, atlas=atlas, num_resamples=3)
    series = load(image)
    assert series.shape == (3, FRAMES, 3) and torch.equal(series, load(image))
    torch.testing.assert_close(series[0], LoadRegionSeries(regions, atlas=atlas)(image))
    assert (series[1] - series[2]).abs().amax((0,)).min() > 0.05
    assert (series[1] - series[0]).abs().amax((0,)).min() > 0.05
    other = LoadRegionSeries(regions, atlas=atlas, num_resamples=3, resample_seed=1)(image)
    assert torch.equal(other[0], series[0]) and not torch.equal(other[1], series[1])
    torch.testing.assert_close(LoadRegionSeries(regions, atlas=atlas, num_resamples=2)(image), series[:2])
    Path(image).rename(tmp_path / "sub-02.nii.gz")
    assert not torch.equal(load(tmp_path / "sub-02.nii.gz")[1], series[1])


def test_replicates_of_all_voxels_equal_the_masker(tmp_path: Path, regions: str) -> None:
    image, atlas = images(tmp_path)
    load = LoadRegionSeries(regions, atlas=atlas, num_resamples=2, low_pass_hz=0.1)
    load.resampling = type(load.resampling)(2, fraction=1.0)  # type: ignore[misc, arg-type, call-arg]
    series = load(image)
    torch.testing.assert_close(series[1], series[0], atol=1e-4, rtol=0)


def test_bad_images_are_refused_by_name(tmp_path: Path, regions: str) -> None:
    image, atlas = images(tmp_path)
    whole, labels = nibabel.load(image), nibabel.load(atlas)
    with pytest.raises(ValueError, match="bold.nii.gz is an image, which needs a label atlas"):
        LoadRegionSeries(regions)(image)
    with pytest.raises(FileNotFoundError, match="atlas '.*none.nii' does not exist"):
        LoadRegionSeries(regions, atlas=str(tmp_path / "none.nii"))(image)
    with pytest.raises(ValueError, match="for .*bold.nii.gz, atlas .* lacks 109 of the 110 regions .* first code 11"):
        LoadRegionSeries(str(TABLE), atlas=atlas)(image)
    with pytest.raises(ValueError, match="s.npy has no voxels to resample"):
        LoadRegionSeries(regions, num_resamples=30)(write(tmp_path / "s.npy", numbers(3)))
    far = str(tmp_path / "far.nii")
    nibabel.save(
        nibabel.Nifti1Image(labels.get_fdata().astype(np.int16), np.diag([1, 1, 1, 1]) + 500 * np.eye(4, k=3)), far
    )
    with pytest.raises(ValueError, match="do not overlap"):
        LoadRegionSeries(regions, atlas=far)(image)
    bad = str(tmp_path / "bad.nii.gz")
    nibabel.save(nibabel.Nifti1Image(whole.get_fdata()[..., 0], whole.affine), bad)
    with pytest.raises(ValueError, match=r"bad.nii.gz has shape \(8, 4, 4\)"):
        LoadRegionSeries(regions, atlas=atlas)(bad)
    values = whole.get_fdata().astype(np.float32)
    still = nibabel.Nifti1Image(values, whole.affine)
    still.header.set_zooms((2, 2, 2, 0))
    nibabel.save(still, bad)
    with pytest.raises(ValueError, match="bad.nii.gz does not tell its repetition time"):
        LoadRegionSeries(regions, atlas=atlas, low_pass_hz=0.1)(bad)
    Path(bad).write_bytes(b"no image")
    with pytest.raises(ValueError, match="bad.nii.gz is no readable NIfTI"):
        LoadRegionSeries(regions, atlas=atlas)(bad)
    values[3, 3, 3, 3] = np.nan
    nibabel.save(nibabel.Nifti1Image(values, whole.affine), bad)
    with pytest.raises(ValueError, match="bad.nii.gz holds NaN"):
        LoadRegionSeries(regions, atlas=atlas)(bad)


def correlations() -> np.ndarray:
    return np.corrcoef(numbers(6).T)


@pytest.mark.parametrize("name", ["m.npy", "m.csv"])
def test_a_ready_matrix_is_read(tmp_path: Path, name: str) -> None:
    matrix = LoadMatrix(6)(write(tmp_path / name, correlations(), delimiter=","))
    assert matrix.dtype == torch.float32 and torch.equal(matrix, matrix.T)
    np.testing.assert_allclose(matrix, correlations(), atol=1e-5)
    item = {"image": str(tmp_path / name), "id": "s1"}
    assert torch.equal(LoadMatrixd("image")(item)["image"], matrix) and item["image"] == str(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda m: m[:5], "m7.npy is 5 x 6, expected 6 x 6", id="square"),
        pytest.param(lambda m: m[:5, :5], "m7.npy is 5 x 5, expected 6 x 6", id="regions"),
        pytest.param(lambda m: m + np.triu(np.full_like(m, 0.1), 1) * (m < 0.5), "m7.npy is not symmetric", id="symmetry"),
        pytest.param(lambda m: np.where(m > 0.9, np.nan, m), "m7.npy holds NaN", id="nan"),
        pytest.param(lambda m: 3 * m, r"m7.npy reaches 3, correlations lie in \[-1, 1\]", id="range"),
    ],
)  # fmt: skip
def test_bad_matrices_are_refused_by_name(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        LoadMatrix(6)(write(tmp_path / "m7.npy", change(correlations())))


@pytest.mark.skipif("BUNDLES_DATA" not in os.environ, reason="BUNDLES_DATA is not set: no real data")
def test_real_series_lose_the_unnamed_region() -> None:
    file = sorted(Path(os.environ["BUNDLES_DATA"], "ABIDE_pcp").glob("*/*/*_rois_ho.1D"))[0]
    series = LoadRegionSeriesd("image", regions=str(TABLE))({"image": str(file)})["image"]
    header = [int(text[1:]) for text in file.read_text().split("\n")[0].split()]
    values = np.loadtxt(file)
    assert series.shape == (len(values), 110)
    np.testing.assert_allclose(series, np.delete(values, header.index(3455), axis=1), rtol=1e-5)
