"""`include`: one manifest in several files, with every problem in the file where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from retraining.errors import ManifestError
from retraining.manifest import load_manifest
from retraining.manifest.including import MAX_FILES

MAIN = """\
manifest: 1
name: shop
include: [teams/*.yaml]
datasets: {sales: {path: sales.csv, key: [id]}}
defaults: {estimator: Ridge}
models:
  price: {dataset: sales, target: price, features: [area]}
"""
TEAM = """\
datasets:
  visits: {path: visits.csv, key: [id]}
models:
  count: {dataset: visits, target: count, features: [hour]}
  late:
    dataset: sales
    target: late
    inputs: {price: {}}
"""


@pytest.fixture
def write(tmp_path):
    def files(**texts: str) -> Path:
        for name, text in texts.items():
            path = tmp_path / name.replace("__", "/")
            path = path.with_name(path.name + ".yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "main.yaml"

    return files


def problems(manifest: Path) -> list[str]:
    with pytest.raises(ManifestError) as error:
        load_manifest(manifest)
    folder = str(manifest.parent)
    return [
        f"{one.file.removeprefix(folder + '/')}:{one.line}:{one.column} {one.message}"
        for one in error.value.problems
    ]


def test_models_and_datasets_of_all_files_are_one_manifest(write):
    manifest = load_manifest(write(main=MAIN, teams__a=TEAM))
    assert list(manifest.models) == ["price", "count", "late"]
    assert manifest.models["count"].estimator.type == "Ridge"
    assert manifest.datasets["sales"].path == "sales.csv"
    assert manifest.datasets["visits"].path == "teams/visits.csv"
    place = manifest.places["models.late.target"]
    assert (Path(place.file).name, place.line, place.column) == ("a.yaml", 7, 13)


def test_a_manifest_may_have_all_its_models_elsewhere(write):
    text = "manifest: 1\nname: shop\ninclude: [data.yaml, teams/b.yaml]\n"
    data = "datasets: {sales: {path: sales.csv, key: [id]}}\n"
    team = "models: {price: {dataset: sales, target: price, features: [area], estimator: Ridge}}\n"
    manifest = load_manifest(write(main=text, data=data, teams__b=team))
    assert (list(manifest.datasets), list(manifest.models)) == (["sales"], ["price"])


def test_the_digest_is_of_all_files(write):
    digests = [load_manifest(write(main=MAIN, teams__a=TEAM)).digest]
    digests.append(load_manifest(write(teams__a=TEAM + "# more\n")).digest)
    digests.append(load_manifest(write(teams__b="models: {}\ndatasets: {}\n")).digest)
    digests.append(load_manifest(write(main=MAIN + "# more\n")).digest)
    assert len(set(digests)) == 4


def test_problems_stand_in_their_own_files(write):
    found = problems(
        write(
            main=MAIN.replace("price: {dataset: sales", "price: {dataset: sale"),
            teams__a=TEAM.replace("features: [hour]", "feature: [hour]"),
            teams__b="models:\n  price: {dataset: sales, target: p, features: [area]}\n  m: [\n",
            teams__c="models:\n  Count: {dataset: sales, target: p, features: [area]}\n  x: {target: p}\nname: c\n",
        )
    )
    starts = [one.split(";")[0] for one in found]
    assert starts[:2] == [
        "main.yaml:7:20 there is no dataset `sale`",
        "teams/a.yaml:4:43 unknown field `feature` in a model",
    ]
    assert starts[2].startswith("teams/b.yaml:4:1 this is not YAML")
    assert starts[3].startswith("teams/c.yaml:2:3 `Count` differs only in case from `count` at line 4 of ")
    assert starts[3].endswith("teams/a.yaml")
    assert starts[4:] == [
        "teams/c.yaml:3:3 a model has no `dataset`, which is required",
        "teams/c.yaml:3:3 `x` has neither features nor inputs, so it has nothing to learn from",
        "teams/c.yaml:4:1 unknown field `name` in an included file",
    ]


def test_names_are_unique_over_all_files(write):
    twice = "models: {price: {dataset: sales, target: p, features: [area]}}\n"
    twice += "datasets: {sales: {path: s.csv, key: [id]}}\n"
    assert problems(write(main=MAIN, teams__a=twice)) == [
        "teams/a.yaml:1:10 `price` is already at line 7",
        "teams/a.yaml:2:12 `sales` is already at line 4",
    ]


def test_included_files_include_others_once_and_never_in_a_circle(write):
    inner = "include: [more/*.yaml]\nmodels: {}\n"
    deep = "models: {deep: {dataset: sales, target: p, features: [area]}}\n"
    main = write(
        main=MAIN.replace("[teams/*.yaml]", "[teams/*.yaml, teams/more/d.yaml]"),
        teams__a=inner,
        teams__more__d=deep,
    )
    assert list(load_manifest(main).models) == ["price", "deep"]
    write(teams__more__d="include: [e.yaml]\n", teams__more__e="include: [d.yaml]\n")
    (found,) = problems(main)
    assert found == (
        "teams/more/e.yaml:1:11 files include each other in a circle: "
        "main.yaml -> teams/a.yaml -> teams/more/d.yaml -> teams/more/e.yaml -> teams/more/d.yaml"
    )


def test_a_pattern_means_the_other_files(write):
    main = write(main=MAIN.replace("[teams/*.yaml]", '["*.yaml"]'), other=TEAM)
    assert len(load_manifest(main).models) == 3
    (found,) = problems(write(main=MAIN.replace("[teams/*.yaml]", "[main.yaml]")))
    assert "in a circle: main.yaml -> main.yaml" in found


@pytest.mark.parametrize(
    "path", ["../other.yaml", "/etc/passwd", "teams/../../other.yaml", "s3://bucket/a.yaml", "..\\\\x.yaml"]
)
def test_nothing_outside_the_folder_is_included(write, path):
    (found,) = problems(write(main=MAIN.replace("[teams/*.yaml]", f'["{path}"]')))
    assert found.startswith("main.yaml:3:11 ")
    assert "leads out of the manifest's folder" in found


def test_a_link_out_of_the_folder_is_refused(write, tmp_path):
    main = write(inside__main=MAIN, outside__a=TEAM)
    main = tmp_path / "inside" / "main.yaml"
    (tmp_path / "inside" / "teams").symlink_to(tmp_path / "outside")
    (found,) = problems(main)
    assert "is a link out of the manifest's folder" in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("include: [none.yaml]", "`none.yaml` cannot be read: No such file"),
        ("include: [n*.yaml]", "no file is named `n*.yaml`"),
        ("include: teams/a.yaml", "expected a list of files"),
        ("include: [1]", "expected a file or a pattern of files"),
        ("include: []", "expected a list of at least 1 files"),
        ("include: [teams]", "`teams` cannot be read: Is a directory"),
    ],
)
def test_what_cannot_be_read_is_told(write, text, said):
    main = write(main=MAIN.replace("include: [teams/*.yaml]", text), teams__a=TEAM)
    assert any(said in one for one in problems(main))


def test_the_number_of_files_is_bounded(write, tmp_path):
    main = write(main=MAIN, teams__a=TEAM)
    for number in range(MAX_FILES + 5):
        (tmp_path / "teams" / f"n{number}.yaml").write_text("models: {}\n")
    assert any(f"at most {MAX_FILES} files" in one for one in problems(main))


def test_an_included_file_that_is_no_mapping_is_told(write):
    assert problems(write(main=MAIN, teams__a="- 1\n", teams__b="models: 3\n")) == [
        "teams/a.yaml:1:1 expected a mapping with datasets, models, include; found a list",
        "teams/b.yaml:1:9 expected a mapping of models; found the number 3",
    ]
