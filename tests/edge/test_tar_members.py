"""The reader of snapshots' archives reads what the module tarfile writes for files and folders."""

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from fg_search.edge.tar_members import read_content, read_members

parts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=80)
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)


@given(st.lists(st.tuples(paths, st.none() | st.binary(max_size=2000)), max_size=5))
def test_files_and_folders_of_any_name_come_back(written: list[tuple[str, bytes | None]]) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in written:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content or b""))
    found = [
        (member.name, None if member.is_folder else b"".join(read_content(target, member)))
        for member in read_members(target)
    ]
    assert found == written


def test_the_size_of_a_large_file_is_read_from_its_extended_header() -> None:
    member = tarfile.TarInfo("large")
    member.size = 9 * 2**30

    class Sparse(io.BytesIO):
        """A file that claims to go on after its headers."""

        def seek(self, offset: int, whence: int = 0) -> int:
            return 10 * 2**30 if whence == 2 else super().seek(offset, whence)

    found = next(read_members(Sparse(member.tobuf(tarfile.PAX_FORMAT))))
    assert (found.name, found.size) == ("large", 9 * 2**30)
