package lakestage.interop.hadoop;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import lakestage.interop.Lake;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FsShell;
import org.apache.hadoop.util.ToolRunner;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** `hadoop fs` as people type it. */
class ShellTest {
  @TempDir Path local;
  private Configuration settings;

  @BeforeEach
  void useAFreshFilesystem() {
    settings = Abfs.settings(new Configuration(), Lake.freshName());
  }

  /** Runs a command, wants its exit code, and gives what it printed. */
  private String run(int wanted, String... arguments) throws Exception {
    PrintStream out = System.out;
    PrintStream err = System.err;
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    try (PrintStream captured = new PrintStream(said, true, StandardCharsets.UTF_8)) {
      System.setOut(captured);
      System.setErr(captured);
      int code = ToolRunner.run(new Configuration(settings), new FsShell(), arguments);
      assertEquals(wanted, code, Arrays.toString(arguments) + ": " + said);
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
    return said.toString(StandardCharsets.UTF_8);
  }

  private String hadoop(String... arguments) throws Exception {
    return run(0, arguments);
  }

  private String file(String name, String content) throws Exception {
    Path path = local.resolve(name);
    Files.createDirectories(path.getParent());
    Files.writeString(path, content);
    return path.toString();
  }

  /** The last word of every line of a listing. */
  private static List<String> paths(String listing) {
    List<String> found = new ArrayList<>();
    for (String line : listing.split("\n")) {
      if (line.contains(" /")) {
        found.add(line.substring(line.indexOf(" /") + 1));
      }
    }
    return found;
  }

  @Test
  void filesGoUpAndComeBack() throws Exception {
    hadoop("-mkdir", "-p", "/data/in");
    hadoop("-put", file("a.txt", "first\n"), file("b.txt", "second\n"), "/data/in");
    assertEquals("first\nsecond\n", hadoop("-cat", "/data/in/a.txt", "/data/in/b.txt"));
    assertEquals(List.of("/data/in/a.txt", "/data/in/b.txt"), paths(hadoop("-ls", "/data/in")));
    hadoop("-get", "/data/in", local.resolve("down").toString());
    assertEquals("second\n", Files.readString(local.resolve("down/b.txt")));
    hadoop("-getmerge", "/data/in", local.resolve("merged").toString());
    assertEquals("first\nsecond\n", Files.readString(local.resolve("merged")));
  }

  @Test
  void putRefusesToReplaceUnlessForced() throws Exception {
    String one = file("f", "one");
    hadoop("-put", one, "/f");
    assertTrue(run(1, "-put", one, "/f").contains("File exists"));
    hadoop("-put", "-f", file("f", "two"), "/f");
    assertEquals("two", hadoop("-cat", "/f"));
  }

  @Test
  void aTreeIsListedMovedCopiedAndRemoved() throws Exception {
    hadoop("-mkdir", "-p", "/a/b");
    hadoop("-put", file("f", "x"), "/a/b/f");
    assertEquals(List.of("/a", "/a/b", "/a/b/f"), paths(hadoop("-ls", "-R", "/")));
    hadoop("-mv", "/a", "/moved");
    hadoop("-cp", "/moved", "/copied");
    assertEquals("x", hadoop("-cat", "/copied/b/f"));
    assertTrue(run(1, "-rmdir", "/moved").contains("Directory is not empty"));
    hadoop("-rm", "-r", "-skipTrash", "/moved");
    assertEquals(List.of("/copied", "/copied/b", "/copied/b/f"), paths(hadoop("-ls", "-R", "/")));
    assertTrue(run(1, "-ls", "/moved").contains("No such file or directory"));
    assertEquals(List.of("/copied/b/f"), Arrays.asList(hadoop("-find", "/copied", "-name", "f").trim().split("\n")));
  }

  @Test
  void pathsAreTestedAndDescribed() throws Exception {
    hadoop("-mkdir", "/d");
    hadoop("-touchz", "/d/empty");
    hadoop("-put", file("f", "12345"), "/d/f");
    run(0, "-test", "-d", "/d");
    run(1, "-test", "-d", "/d/f");
    run(0, "-test", "-z", "/d/empty");
    run(1, "-test", "-e", "/missing");
    assertEquals("regular file 5 f\n", hadoop("-stat", "%F %b %n", "/d/f"));
    assertEquals("directory d\n", hadoop("-stat", "%F %n", "/d"));
    assertTrue(hadoop("-du", "-s", "/d").startsWith("5 "));
    assertEquals(List.of("1", "2", "5"), Arrays.asList(hadoop("-count", "/d").trim().split("\\s+")).subList(0, 3));
    assertEquals("12345", hadoop("-tail", "/d/f"));
    assertEquals("12345", hadoop("-text", "/d/f"));
  }

  @Test
  void aFileGrowsAtItsEnd() throws Exception {
    hadoop("-appendToFile", file("one", "one "), "/log");
    hadoop("-appendToFile", file("two", "two"), "/log");
    assertEquals("one two", hadoop("-cat", "/log"));
  }

  @Test
  void permissionsAndOwnersAreChanged() throws Exception {
    hadoop("-mkdir", "-p", "/d/e");
    hadoop("-put", file("f", "x"), "/d/e/f");
    hadoop("-chmod", "-R", "750", "/d");
    hadoop("-chown", "-R", "11111111-2222-3333-4444-555555555555:staff", "/d");
    assertEquals("11111111-2222-3333-4444-555555555555 staff 750\n", hadoop("-stat", "%u %g %a", "/d/e/f"));
    hadoop("-chgrp", "others", "/d/e/f");
    assertEquals("others\n", hadoop("-stat", "%g", "/d/e/f"));
  }

  @Test
  void accessListsAreSetAndRemoved() throws Exception {
    hadoop("-mkdir", "/d");
    String zoe = "11111111-2222-3333-4444-555555555555";
    hadoop("-setfacl", "-m", "user:" + zoe + ":r-x", "/d");
    hadoop("-setfacl", "-m", "default:user:" + zoe + ":rwx", "/d");
    String list = hadoop("-getfacl", "/d");
    assertTrue(list.contains("user:" + zoe + ":r-x"), list);
    assertTrue(list.contains("default:user:" + zoe + ":rwx"), list);
    hadoop("-touchz", "/d/child");
    assertTrue(hadoop("-getfacl", "/d/child").contains("user:" + zoe));
    hadoop("-setfacl", "-x", "user:" + zoe, "/d");
    hadoop("-setfacl", "-k", "/d");
    assertFalse(hadoop("-getfacl", "/d").contains(zoe));
    hadoop("-setfacl", "-b", "/d/child");
    assertFalse(hadoop("-getfacl", "/d/child").contains(zoe));
  }

  @Test
  void attributesAreKept() throws Exception {
    hadoop("-touchz", "/f");
    hadoop("-setfattr", "-n", "user.origin", "-v", "tests", "/f");
    assertTrue(hadoop("-getfattr", "-n", "user.origin", "/f").contains("user.origin=\"tests\""));
  }

  @Test
  void namesWithEverythingInThem() throws Exception {
    for (String name : List.of("with space", "plus+sign", "100%", "ümläut", "日本語", "amp&equals=", "at@x")) {
      hadoop("-mkdir", "/" + name);
      hadoop("-put", file("f", name), "/" + name + "/" + name);
      assertEquals(name, hadoop("-cat", "/" + name + "/" + name));
      assertEquals(List.of("/" + name + "/" + name), paths(hadoop("-ls", "/" + name)));
      hadoop("-mv", "/" + name, "/moved");
      hadoop("-rm", "-r", "-skipTrash", "/moved");
    }
  }
}
