package lakestage.interop.hadoop;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.nio.file.AccessDeniedException;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;
import lakestage.interop.Lake;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CommonPathCapabilities;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.fs.permission.AclEntry;
import org.apache.hadoop.fs.permission.FsAction;
import org.apache.hadoop.fs.permission.FsPermission;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What ABFS does beyond the contract: large files, access control, many writers, pages. */
class FileSystemTest {
  private String name;
  private FileSystem lake;

  @BeforeEach
  void open() throws IOException {
    name = Lake.freshName();
    lake = Abfs.open(name);
  }

  @AfterEach
  void close() throws IOException {
    lake.close();
  }

  private void write(String path, byte[] content) throws IOException {
    try (FSDataOutputStream out = lake.create(new Path(path))) {
      out.write(content);
    }
  }

  private byte[] read(String path) throws IOException {
    try (FSDataInputStream in = lake.open(new Path(path))) {
      return in.readAllBytes();
    }
  }

  @Test
  void itFindsTheHierarchicalNamespace() throws IOException {
    // ABFS has access lists only where its first question told it of a hierarchical namespace.
    assertTrue(lake.hasPathCapability(new Path("/"), CommonPathCapabilities.FS_ACLS));
    assertTrue(lake.getFileStatus(new Path("/")).isDirectory());
  }

  @Test
  void aLargeFileIsWrittenAndReadAnywhere() throws IOException {
    byte[] content = new byte[40_000_123];
    new Random(1).nextBytes(content);
    write("/large", content);
    assertEquals(content.length, lake.getFileStatus(new Path("/large")).getLen());
    assertArrayEquals(content, read("/large"));
    try (FSDataInputStream in = lake.open(new Path("/large"))) {
      Random random = new Random(2);
      for (int i = 0; i < 50; i++) {
        int at = random.nextInt(content.length - 4096);
        byte[] part = new byte[4096];
        in.readFully(at, part);
        for (int j = 0; j < part.length; j++) {
          assertEquals(content[at + j], part[j]);
        }
      }
    }
  }

  @Test
  void whatIsFlushedIsSeenBeforeTheFileIsClosed() throws IOException {
    try (FSDataOutputStream out = lake.create(new Path("/f"))) {
      out.write("seen".getBytes());
      out.hflush();
      assertArrayEquals("seen".getBytes(), read("/f"));
      out.write(" later".getBytes());
    }
    assertArrayEquals("seen later".getBytes(), read("/f"));
  }

  @Test
  void createReplacesOnlyWhereItMay() throws IOException {
    write("/f", new byte[] {1});
    assertThrows(FileAlreadyExistsException.class, () -> lake.create(new Path("/f"), false));
    write("/f", new byte[] {2});
    assertArrayEquals(new byte[] {2}, read("/f"));
    assertThrows(FileNotFoundException.class, () -> lake.open(new Path("/missing")));
  }

  @Test
  void aDirectoryMovesWithAllBelowIt() throws IOException {
    write("/a/b/f", new byte[] {1});
    assertTrue(lake.rename(new Path("/a"), new Path("/z")));
    assertArrayEquals(new byte[] {1}, read("/z/b/f"));
    assertFalse(lake.exists(new Path("/a")));
    assertFalse(lake.rename(new Path("/missing"), new Path("/y")));
    assertFalse(lake.rename(new Path("/z"), new Path("/no/parent")));
  }

  @Test
  void listsComeInPages() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(16);
    List<Callable<Boolean>> work =
        IntStream.range(0, 5_200)
            .<Callable<Boolean>>mapToObj(i -> () -> lake.createNewFile(new Path("/many/f" + i)))
            .toList();
    lake.mkdirs(new Path("/many"));
    for (var done : threads.invokeAll(work)) {
      assertTrue(done.get());
    }
    threads.shutdown();
    assertEquals(5_200, lake.listStatus(new Path("/many")).length);
    TreeSet<String> names = new TreeSet<>();
    RemoteIterator<?> all = lake.listStatusIterator(new Path("/many"));
    while (all.hasNext()) {
      names.add(all.next().toString());
    }
    assertEquals(5_200, names.size());
    assertTrue(lake.delete(new Path("/many"), true));
    assertFalse(lake.exists(new Path("/many")));
  }

  @Test
  void permissionsAreSetAndTold() throws IOException {
    FsPermission permission = new FsPermission(FsAction.ALL, FsAction.READ_EXECUTE, FsAction.NONE, true);
    lake.mkdirs(new Path("/d"));
    lake.setPermission(new Path("/d"), permission);
    assertEquals(permission, lake.getFileStatus(new Path("/d")).getPermission());
    lake.setOwner(new Path("/d"), "11111111-2222-3333-4444-555555555555", "staff");
    assertEquals("11111111-2222-3333-4444-555555555555", lake.getFileStatus(new Path("/d")).getOwner());
    assertEquals("staff", lake.getFileStatus(new Path("/d")).getGroup());
    lake.access(new Path("/d"), FsAction.READ);
  }

  @Test
  void accessListsAreChanged() throws IOException {
    lake.mkdirs(new Path("/d"));
    List<AclEntry> change = AclEntry.parseAclSpec("user:11111111-2222-3333-4444-555555555555:r-x", true);
    lake.modifyAclEntries(new Path("/d"), change);
    assertTrue(lake.getAclStatus(new Path("/d")).getEntries().containsAll(change));
    lake.removeAclEntries(new Path("/d"), AclEntry.parseAclSpec("user:11111111-2222-3333-4444-555555555555", false));
    assertFalse(lake.getAclStatus(new Path("/d")).getEntries().toString().contains("11111111"));
  }

  @Test
  void attributesAreKept() throws IOException {
    write("/f", new byte[] {1});
    lake.setXAttr(new Path("/f"), "user.one", "first".getBytes());
    lake.setXAttr(new Path("/f"), "user.two", "second".getBytes());
    assertArrayEquals("first".getBytes(), lake.getXAttr(new Path("/f"), "user.one"));
    assertArrayEquals("second".getBytes(), lake.getXAttr(new Path("/f"), "user.two"));
    assertArrayEquals(new byte[] {1}, read("/f"));
  }

  @Test
  void aWrongKeyIsRefused() {
    Configuration settings = Abfs.settings(new Configuration(), name);
    settings.set("fs.azure.account.key." + Lake.ACCOUNT + ".dfs.core.windows.net", "c2VjcmV0");
    AccessDeniedException refused =
        assertThrows(
            AccessDeniedException.class,
            () -> {
              try (FileSystem other = FileSystem.newInstance(URI.create(settings.get("fs.defaultFS")), settings)) {
                other.getFileStatus(new Path("/f"));
              }
            });
    assertTrue(refused.getMessage().contains("403"), refused.getMessage());
  }
}
