"""Folders and files of documents: text, Markdown, HTML, PDF."""

import gzip

import pytest

from encoder.errors import InputError
from indexer.sources import open_sources

PROSE = "A quiet village wakes up to find that the river has moved during the night."
PAGE = f"""<html><head><title>The &amp; river</title></head><body><nav><a href="/">Home</a></nav>
<article><h1>River</h1><p>{PROSE} It never came back.</p><p>{PROSE} Nobody knows why.</p></article>
<script>var x = 1;</script></body></html>"""


def documents(source):
    return [document for batch in source.batches() for document in batch]


def pdf(text):
    """A PDF of one page, by hand."""
    stream = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % len(out)
    return out + b"xref\n0 6\n0000000000 65535 f \n" + table + trailer


@pytest.fixture
def folder(tmp_path):
    docs = tmp_path / "docs"
    (docs / "sub" / "deep").mkdir(parents=True)
    (docs / "note.txt").write_text(PROSE)
    (docs / "sub" / "page.html").write_text(PAGE)
    (docs / "sub" / "read.md").write_text(f"# The heading\n\n{PROSE}\n")
    (docs / "sub" / "front.md").write_text(f'---\ntitle: "In front"\n---\n{PROSE}\n')
    (docs / "sub" / "deep" / "paper.pdf").write_bytes(pdf("Rivers move in the night"))
    (docs / "sub" / "old.txt.gz").write_bytes(gzip.compress("Ein Müller am Fluß".encode("latin-1")))
    (docs / "picture.png").write_bytes(b"\x89PNG")
    (docs / ".hidden.txt").write_text("secret")
    return docs


def test_a_folder_is_read_with_paths_as_ids_and_titles(folder):
    source = open_sources([folder])
    found = {d.id: (d.title, d.text) for d in documents(source)}
    assert found["note.txt"] == ("note", PROSE)
    assert found["sub/read.md"] == ("The heading", f"# The heading\n\n{PROSE}\n")
    assert found["sub/front.md"] == ("In front", f"{PROSE}\n")
    assert found["sub/deep/paper.pdf"] == ("paper", "Rivers move in the night")
    assert found["sub/old.txt.gz"][1] == "Ein Müller am Fluß"
    title, text = found["sub/page.html"]
    assert title == "The & river"
    assert "It never came back." in text and "var x" not in text and "<p>" not in text
    assert len(found) == 6
    assert source.guessed == {"text": "text", "title": "title", "id": "id"}
    assert source.columns == {"folder": "string", "format": "string", "modified": "timestamp"}
    assert source.fraction_read() == 1.0


def test_metadata_of_a_file(folder):
    found = {d.id: d.metadata for d in documents(open_sources([folder]))}
    assert found["sub/deep/paper.pdf"]["folder"] == "sub/deep"
    assert found["sub/deep/paper.pdf"]["format"] == "pdf"
    assert found["note.txt"]["folder"] is None


def test_a_short_page_without_article_is_read(tmp_path):
    (tmp_path / "a.html").write_text("<p>hi there</p>")
    assert documents(open_sources([tmp_path / "a.html"]))[0].text == "hi there"


def test_links_out_of_the_folder_are_not_followed(folder, tmp_path):
    (tmp_path / "secret.txt").write_text(PROSE)
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "inside.txt").symlink_to(folder / "note.txt")
    (folder / "up").symlink_to(tmp_path)
    source = open_sources([folder])
    ids = [d.id for d in documents(source)]
    assert "inside.txt" in ids and "link.txt" not in ids and len(ids) == 7
    assert any("1 links that lead out of" in note for note in source.notes)


def test_two_folders_keep_their_ids_apart(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "note.txt").write_text(PROSE)
    ids = [d.id for d in documents(open_sources([folder, other]))]
    assert len(set(ids)) == len(ids) == 7


def test_a_glob_of_documents_is_one_source(folder):
    source = open_sources([str(folder / "**" / "*.md")])
    assert [d.title for d in documents(source)] == ["In front", "The heading"]


def test_a_damaged_pdf_stops_or_is_skipped(folder):
    (folder / "bad.pdf").write_bytes(b"%PDF-1.4\nnothing here")
    with pytest.raises(InputError, match="the PDF cannot be read") as caught:
        documents(open_sources([folder]))
    assert caught.value.where.endswith("bad.pdf")
    source = open_sources([folder], on_bad_row="skip")
    assert len(documents(source)) == 6
    assert source.counts["bad"] == 1


def test_a_blank_document_is_counted_as_empty(folder):
    (folder / "blank.txt").write_text(" \n ")
    (folder / "none.html").write_text("")
    source = open_sources([folder])
    assert len(documents(source)) == 6
    assert source.counts["empty"] == 2


def test_a_text_file_is_a_document_and_a_table_in_a_text_file_is_a_table(tmp_path):
    (tmp_path / "prose.txt").write_text(f"{PROSE}\nYes, it did.\nAnd, after that, nobody came.\n")
    assert len(documents(open_sources([tmp_path / "prose.txt"]))) == 1
    (tmp_path / "table.txt").write_text("id\ttext\n" + "".join(f"{i}\t{PROSE} {i}\n" for i in range(9)))
    assert len(documents(open_sources([tmp_path / "table.txt"]))) == 9


def test_a_folder_of_tables_is_one_source_and_its_readme_is_passed_over(tmp_path):
    (tmp_path / "README.md").write_text("# Tables")
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(
            "id,text\n" + "".join(f"{name}{i},{PROSE} {i}\n" for i in range(3))
        )
    source = open_sources([tmp_path])
    assert [d.id for d in documents(source)] == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_a_folder_of_tables_and_documents_asks_which(folder):
    (folder / "a.csv").write_text("id,text\n1,x\n")
    with pytest.raises(InputError, match=r"holds tables \(1\) and documents \(6\)") as caught:
        open_sources([folder])
    assert "/**/*.csv'" in caught.value.fix


def test_a_folder_with_nothing_to_read_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"has no file that can be read \(of 1 files\)"):
        open_sources([tmp_path])


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("id,text\n")

    def refuse(self, *args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(
        "pathlib.Path.open", refuse
    )  # root may read everything, so the bits of a file prove nothing
    with pytest.raises(InputError, match=r"a.csv may not be read by this user"):
        open_sources([path])
