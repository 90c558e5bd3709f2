package lakestage.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** The served lake, started once for all tests and ended with them. */
public final class Lake {
  /** The account that every client of an emulator knows; it is published and opens nothing else. */
  public static final String ACCOUNT = "devstoreaccount1";

  public static final String KEY =
      "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

  private static final AtomicInteger COUNT = new AtomicInteger();
  private static final JsonNode SERVING = start();

  private Lake() {}

  public static String dfsEndpoint() {
    return SERVING.get("dfsEndpoint").asText();
  }

  public static String blobEndpoint() {
    return SERVING.get("blobEndpoint").asText();
  }

  /** Host and port of the DFS endpoint. */
  public static String dfsAuthority() {
    return dfsEndpoint().split("/")[2];
  }

  /** A name for a filesystem that no other test uses. */
  public static String freshName() {
    return "java-" + ProcessHandle.current().pid() + "-" + COUNT.incrementAndGet();
  }

  private static JsonNode start() {
    String program = System.getenv("LAKESTAGE_BIN");
    if (program == null) {
      throw new IllegalStateException("set LAKESTAGE_BIN to the lakestage command that is to be tested");
    }
    try {
      Path folder = Files.createTempDirectory("lakestage-java-");
      Process server =
          new ProcessBuilder(
                  program, "--json", "--data", folder.resolve("data").toString(),
                  "serve", "--sync", "off", "--soft-delete-days", "7", "--blob-port", "0", "--dfs-port", "0")
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      Runtime.getRuntime().addShutdownHook(new Thread(() -> end(server, folder)));
      BufferedReader lines = server.inputReader();
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        JsonNode event = new ObjectMapper().readTree(line);
        if (event.path("serving").asBoolean()) {
          return event;
        }
      }
      throw new IllegalStateException("the server ended before it served");
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private static void end(Process server, Path folder) {
    server.destroy();
    try {
      if (!server.waitFor(30, TimeUnit.SECONDS)) {
        server.destroyForcibly();
      }
      try (var paths = Files.walk(folder)) {
        paths.sorted((one, two) -> two.compareTo(one)).forEach(path -> path.toFile().delete());
      }
    } catch (InterruptedException | IOException error) {
      System.err.println("the temporary lake was not cleared away: " + error);
    }
  }
}
