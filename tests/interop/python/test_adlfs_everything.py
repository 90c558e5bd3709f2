"""What adlfs does beyond reading: the whole of fsspec's file system."""

import os
import uuid

import adlfs
import pytest


@pytest.fixture
def lake(demo):
    return adlfs.AzureBlobFileSystem(
        account_name=demo["account"], connection_string=demo["connection_string"], use_listings_cache=False
    )


@pytest.fixture
def root(lake):
    made = f"py-{uuid.uuid4().hex}"
    lake.mkdir(made)
    yield made
    lake.rm(made, recursive=True)


def test_files_are_written_described_and_removed(lake, root):
    lake.pipe(f"{root}/d/e/f", b"0123456789")
    found = lake.info(f"{root}/d/e/f")
    assert (found["type"], found["size"]) == ("file", 10)
    assert lake.cat_file(f"{root}/d/e/f", start=2, end=5) == b"234"
    assert lake.isdir(f"{root}/d") and lake.isfile(f"{root}/d/e/f")
    assert lake.size(f"{root}/d/e/f") == 10
    lake.rm_file(f"{root}/d/e/f")
    assert not lake.exists(f"{root}/d/e/f")
    with pytest.raises(FileNotFoundError):
        lake.cat(f"{root}/d/e/f")


def test_trees_are_listed_found_and_walked(lake, root):
    for path in ("a/1", "a/2", "a/b/3", "c"):
        lake.pipe(f"{root}/{path}", b"x")
    assert sorted(lake.ls(root)) == [f"{root}/a", f"{root}/c"]
    assert sorted(lake.find(root)) == [f"{root}/{path}" for path in ("a/1", "a/2", "a/b/3", "c")]
    assert sorted(lake.glob(f"{root}/a/*")) == [f"{root}/a/1", f"{root}/a/2", f"{root}/a/b"]
    assert sorted(lake.glob(f"{root}/**/3")) == [f"{root}/a/b/3"]
    assert {top: (sorted(d), sorted(f)) for top, d, f in lake.walk(root)} == {
        root: (["a"], ["c"]),
        f"{root}/a": (["b"], ["1", "2"]),
        f"{root}/a/b": ([], ["3"]),
    }
    assert lake.du(root) == 4


def test_a_directory_goes_with_all_below_it(lake, root):
    lake.pipe(f"{root}/d/e/f", b"x")
    lake.pipe(f"{root}/d/g", b"x")
    lake.rm(f"{root}/d", recursive=True)
    assert lake.ls(root) == []
    assert not lake.exists(f"{root}/d")


def test_files_are_copied_and_moved(lake, root):
    lake.pipe(f"{root}/a/f", b"content")
    lake.cp_file(f"{root}/a/f", f"{root}/b/f")
    assert lake.cat(f"{root}/b/f") == b"content"
    lake.mv(f"{root}/a/f", f"{root}/c/f")
    assert not lake.exists(f"{root}/a/f")
    assert lake.cat(f"{root}/c/f") == b"content"


def test_folders_go_up_and_come_down(lake, root, tmp_path):
    for path in ("a", "d/b", "d/e/c"):
        local = tmp_path / "up" / path
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_text(path)
    lake.put(f"{tmp_path}/up/", f"{root}/there/", recursive=True)
    assert lake.cat(f"{root}/there/d/e/c") == b"d/e/c"
    lake.get(f"{root}/there/", f"{tmp_path}/down/", recursive=True)
    assert (tmp_path / "down/d/b").read_text() == "d/b"


def test_a_large_file_is_written_and_read_in_blocks(lake, root):
    content = os.urandom(30 * 1024 * 1024 + 77)
    with lake.open(f"{root}/large", "wb", blocksize=4 * 1024 * 1024) as file:
        for at in range(0, len(content), 1_000_003):
            file.write(content[at : at + 1_000_003])
    with lake.open(f"{root}/large", "rb") as file:
        assert file.read() == content
        file.seek(17_000_000)
        assert file.read(100) == content[17_000_000:17_000_100]


def test_metadata_is_kept(lake, root):
    with lake.open(f"{root}/f", "wb", metadata={"purpose": "tests"}) as file:
        file.write(b"x")
    assert lake.info(f"{root}/f")["metadata"]["purpose"] == "tests"


def test_exclusive_creation_is_refused_where_something_is(lake, root):
    lake.pipe(f"{root}/f", b"first")
    with pytest.raises(FileExistsError):
        with lake.open(f"{root}/f", "xb") as file:
            file.write(b"second")
    assert lake.cat(f"{root}/f") == b"first"


@pytest.mark.parametrize("name", ["with space", "plus+sign", "amp&equals=", "ümläut ß", "日本語", "emoji 🚀", "at@x"])
def test_names_with_everything_in_them(lake, root, name):
    lake.pipe(f"{root}/{name}/{name}", b"x")
    assert lake.cat(f"{root}/{name}/{name}") == b"x"
    assert lake.ls(f"{root}/{name}") == [f"{root}/{name}/{name}"]


def test_a_signed_address_opens_a_file(lake, root):
    import urllib.request

    lake.pipe(f"{root}/f", b"signed")
    with urllib.request.urlopen(lake.sign(f"{root}/f", expiration=60)) as answer:
        assert answer.read() == b"signed"
