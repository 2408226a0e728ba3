"""Two manifests in one store: the second is refused, a renamed one goes on."""

from __future__ import annotations

import pytest
from oracle.workbench import Bench

from retraining.errors import InputError
from tests.execution.pair_bench import AS_OF, manifest, outcomes, rows


def renamed(bench: Bench, name: str, text: str) -> Bench:
    bench.write(text)
    path = bench.folder / "m.yaml"
    path.write_text(path.read_text().replace("name: bench", f"name: {name}"))
    return bench


def test_a_store_of_another_manifest_is_refused_and_nothing_is_forgotten(tmp_path):
    bench = Bench(tmp_path).write(manifest(), d=rows())
    bench.run(AS_OF)
    before = bench.store().read_head()
    other = (
        manifest()
        .split("  c:")[0]
        .replace("  a:", "  other:")
        .replace("inputs: {a: {}}", "inputs: {other: {}}")
    )
    with pytest.raises(
        InputError, match="holds the models of the manifest `bench`; `second` has no a and c"
    ) as caught:
        renamed(bench, "second", other).run(AS_OF)
    assert "--store" in caught.value.next_step
    assert bench.store().read_head() == before


MORE = "  d: {dataset: d, target: {column: w, known_after: 1h}, features: [x4]}\n"


def test_a_renamed_manifest_goes_on_with_its_models_and_may_drop_them_later(tmp_path):
    bench = Bench(tmp_path).write(manifest(), d=rows())
    bench.run(AS_OF)
    more = renamed(bench, "again", manifest(more=MORE)).run(AS_OF)
    assert outcomes(more) == {"a": "kept", "b": "kept", "c": "kept", "d": "promoted"}
    assert set(outcomes(renamed(bench, "again", manifest()).run(AS_OF)).values()) == {"kept"}
