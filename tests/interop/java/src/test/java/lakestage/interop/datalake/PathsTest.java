package lakestage.interop.datalake;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.azure.core.http.rest.PagedResponse;
import com.azure.core.util.BinaryData;
import com.azure.core.util.Context;
import com.azure.storage.file.datalake.DataLakeDirectoryClient;
import com.azure.storage.file.datalake.DataLakeFileClient;
import com.azure.storage.file.datalake.DataLakeFileSystemClient;
import com.azure.storage.file.datalake.models.DataLakeRequestConditions;
import com.azure.storage.file.datalake.models.FileSystemItem;
import com.azure.storage.file.datalake.models.ListFileSystemsOptions;
import com.azure.storage.file.datalake.models.ListPathsOptions;
import com.azure.storage.file.datalake.models.PathItem;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import lakestage.interop.Lake;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PathsTest extends DatalakeTest {
  @Test
  void filesystemsAreMadeDescribedListedAndDeleted() {
    String prefix = Lake.freshName();
    DataLakeFileSystemClient made = SERVICE.getFileSystemClient(prefix + "-a");
    assertFalse(made.exists());
    made.create();
    refused(409, "ContainerAlreadyExists", made::create);
    assertFalse(made.createIfNotExists());
    made.setMetadata(Map.of("purpose", "tests"));
    assertEquals(Map.of("purpose", "tests"), made.getProperties().getMetadata());
    SERVICE.createFileSystem(prefix + "-b");
    List<String> names =
        SERVICE.listFileSystems(new ListFileSystemsOptions().setPrefix(prefix), null).stream()
            .map(FileSystemItem::getName)
            .toList();
    assertEquals(List.of(prefix + "-a", prefix + "-b"), names);
    made.delete();
    SERVICE.deleteFileSystem(prefix + "-b");
    refused(404, "ContainerNotFound", made::getProperties);
    refused(404, "FilesystemNotFound", () -> made.createFile("f"));
  }

  @Test
  void aDirectoryIsMadeAndDeletedWithAllBelowIt() {
    DataLakeDirectoryClient directory = lake.createDirectory("a/b");
    directory.createFile("f");
    directory.createSubdirectory("c");
    assertTrue(directory.getProperties().isDirectory());
    assertEquals(List.of("a", "a/b", "a/b/c", "a/b/f"), list("", true));
    assertEquals(List.of("a/b/c", "a/b/f"), directory.listPaths().stream().map(PathItem::getName).toList());
    refused(409, "DirectoryNotEmpty", directory::delete);
    directory.deleteRecursively();
    assertEquals(List.of("a"), list("", true));
    assertFalse(directory.deleteIfExists());
  }

  @Test
  void aFileAndADirectoryDoNotReplaceEachOther() {
    write("file", "x");
    lake.createDirectory("directory");
    refused(409, "PathConflict", () -> lake.createDirectory("file", true));
    refused(409, "PathConflict", () -> lake.createFile("directory", true));
    refused(409, "PathConflict", () -> lake.createFile("file/below"));
  }

  @Test
  void pathsAreListedInPagesAndWithTheirProperties() {
    for (int i = 0; i < 12; i++) {
      write(String.format("f%02d", i), "abc");
    }
    List<Integer> sizes = new ArrayList<>();
    for (PagedResponse<PathItem> page : lake.listPaths(new ListPathsOptions().setMaxResults(6), null).iterableByPage()) {
      sizes.add(page.getValue().size());
    }
    assertEquals(List.of(6, 6), sizes);
    PathItem first = lake.listPaths().iterator().next();
    assertEquals(3, first.getContentLength());
    assertEquals("$superuser", first.getOwner());
    assertEquals("rw-r-----", first.getPermissions());
    assertEquals(lake.getFileClient("f00").getProperties().getETag().replace("\"", ""), first.getETag());
    refused(404, "PathNotFound", () -> list("missing", false));
  }

  @Test
  void pathsMoveWithinAndAcrossFilesystems() {
    write("old/a/b", "deep");
    String tag = lake.getFileClient("old/a/b").getProperties().getETag();
    lake.getDirectoryClient("old").rename(null, "new");
    DataLakeFileClient moved = lake.getFileClient("new/a/b");
    assertEquals("deep", read(moved));
    assertEquals(tag, moved.getProperties().getETag());
    DataLakeFileSystemClient other = SERVICE.createFileSystem(Lake.freshName());
    moved.rename(other.getFileSystemName(), "across");
    assertEquals("deep", read(other.getFileClient("across")));
    other.delete();
  }

  @Test
  void renamesThatCannotBeAreRefused() {
    DataLakeFileClient file = write("f", "x");
    write("full/g", "y");
    DataLakeDirectoryClient directory = lake.createDirectory("d");
    refused(404, "SourcePathNotFound", () -> lake.getFileClient("missing").rename(null, "g"));
    refused(404, "RenameDestinationParentPathNotFound", () -> file.rename(null, "no/parent/f"));
    refused(409, "InvalidRenameSourcePath", () -> directory.rename(null, "d/below"));
    refused(409, "InvalidSourceOrDestinationResourceType", () -> directory.rename(null, "f"));
    refused(409, "PathAlreadyExists", () -> directory.rename(null, "full"));
    DataLakeRequestConditions wrong = new DataLakeRequestConditions().setIfMatch("\"0x1\"");
    refused(412, "SourceConditionNotMet", () -> file.renameWithResponse(null, "g", wrong, null, null, Context.NONE));
    DataLakeRequestConditions none = new DataLakeRequestConditions().setIfNoneMatch("*");
    refused(409, "PathAlreadyExists", () -> file.renameWithResponse(null, "full/g", null, none, null, Context.NONE));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "with space", "100%", "%41%2F", "plus+sign", "quote'and\"double", "semi;colon,comma", "hash#question?",
        "amp&equals=", "at@colon:", "brackets[](){}<>", "ümläut ß", "日本語", "emoji 🚀", "e\u0301", ".hidden"
      })
  void namesWithEverythingInThem(String name) {
    // The client takes names as they are, and encodes them itself.
    DataLakeFileClient file = lake.getDirectoryClient(name).getFileClient(name);
    file.upload(BinaryData.fromString(name), true);
    assertEquals(name, read(file));
    assertEquals(List.of(name, name + "/" + name), list("", true));
    assertEquals(List.of(name + "/" + name), list(name, false));
    file.rename(null, "moved");
    assertEquals(name, read(lake.getFileClient("moved")));
    lake.getDirectoryClient(name).deleteRecursively();
    assertEquals(List.of("moved"), list("", true));
  }

  @Test
  void deletedPathsComeBack() {
    write("f", "back").delete();
    assertEquals(1, lake.listDeletedPaths().stream().count());
  }
}
