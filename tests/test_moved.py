"""Old names of modules keep working for a release."""

import importlib
import json
import shutil
import subprocess
import sys

import pytest
from sentence_transformers import SentenceTransformer

from fg_search import FeatureGroupEncoder
from fg_search._moved import _MOVED


@pytest.fixture(autouse=True)
def _fresh_modules(monkeypatch):
    """Modules of old names are imported anew by each test, and forgotten after it."""
    for old in _MOVED:
        monkeypatch.delitem(sys.modules, f"fg_search.{old}", raising=False)


@pytest.mark.filterwarnings("ignore:the module fg_search.storage is now:DeprecationWarning")  # parent of some
@pytest.mark.parametrize(("old", "new"), sorted(_MOVED.items()))
def test_an_old_name_gives_the_new_module_and_a_warning(old, new):
    modules = [f"fg_search.{module}" for module in new.split()]
    with pytest.warns(DeprecationWarning, match=f"{' and '.join(modules)}; the old name goes"):
        moved = importlib.import_module(f"fg_search.{old}")
    for there in map(importlib.import_module, modules):
        public = [name for name, value in vars(there).items() if getattr(value, "__module__", "") == there.__name__]
        assert public or there.__name__.endswith(("keys", "issues", "edge", "formats")), there
        assert all(getattr(moved, name) is getattr(there, name) for name in public if name[0] != "_")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("search", "SearchOptions SearchResult Hit HitGroup GroupedResult QueryVectors query_vectors plan to_hits"),
        ("storage.points", "Item checked_items to_points are_same"),
        ("storage.schema", "IndexMetadata BASE_VECTOR CONFIDENCE_KEY FEATURES_VECTOR"),
        ("storage.disk_space", "allocated_size"),
        ("fit", "fit_head FitHistory FitCheck"),
        ("index.changing", "IndexInfo delete relabel labels labels_of"),
        ("review.labels", "judge_labels fit_label_judge"),
        ("review.decisions", "Decision"),
    ],
)
def test_names_of_0_1_are_where_they_were(module, names):
    old = importlib.import_module(f"fg_search.{module}")
    for name in names.split():
        assert getattr(old, name) is not None


def test_other_names_are_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'fg_search\.nothing'"):
        importlib.import_module("fg_search.nothing")


@pytest.mark.filterwarnings("ignore:the module fg_search.head is now:DeprecationWarning")
def test_an_encoder_that_0_1_saved_loads(encoder, saved_encoder, tmp_path):
    """Its list of modules names the head by its old module."""
    folder = shutil.copytree(saved_encoder, tmp_path / "saved")
    modules = folder / "modules.json"
    listed = json.loads(modules.read_text())
    assert listed[-1]["type"] == "fg_search.model.head.FeatureGroupHead"
    listed[-1]["type"] = "fg_search.head.FeatureGroupHead"
    modules.write_text(json.dumps(listed))
    assert FeatureGroupEncoder.load(folder).fingerprint == encoder.fingerprint
    loaded = SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")
    assert loaded.encode("my card").shape == (encoder.groups * encoder.codes_per_group,)


def test_an_old_name_is_found_before_anything_else_of_the_package():
    script = "from fg_search.storage.edge import EdgeClient; print(EdgeClient.__module__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "fg_search.edge.client"
