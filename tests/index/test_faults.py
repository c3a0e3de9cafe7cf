import subprocess
import sys
import textwrap

import pytest

from fg_search import ConfidenceIndex, EdgeClient
from fg_search.errors import (
    FolderLockedError,
)


def test_a_folder_open_in_another_process_is_refused(tmp_path, saved_encoder, encoder):
    script = textwrap.dedent("""
        import sys
        from fg_search import ConfidenceIndex
        from fg_search.errors import FolderLockedError
        try:
            ConfidenceIndex(sys.argv[1])
        except FolderLockedError as error:
            print(error)
    """)
    with ConfidenceIndex(tmp_path / "i", encoder):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "i")], capture_output=True, text=True, check=True
        )
        assert str(tmp_path / "i") in done.stdout
        with pytest.raises(FolderLockedError):
            ConfidenceIndex(tmp_path / "i")


def test_an_interrupted_creation_is_completed_when_the_index_is_opened(tmp_path, encoder, corpus, monkeypatch):
    texts, _ = corpus

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EdgeClient, "create_payload_index", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ConfidenceIndex(tmp_path / "i", encoder)
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(texts)
        assert len(index.review(limit=5)) == 5
