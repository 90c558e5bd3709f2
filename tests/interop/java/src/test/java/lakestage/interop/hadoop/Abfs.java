package lakestage.interop.hadoop;

import java.io.IOException;
import java.net.URI;
import lakestage.interop.Lake;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;

/** How Hadoop is told where the lake is. */
public final class Abfs {
  private static final String HOST = Lake.ACCOUNT + ".dfs.core.windows.net";

  private Abfs() {}

  /** Settings for a filesystem, which is made when it is first opened. */
  public static Configuration settings(Configuration settings, String fileSystem) {
    settings.set("fs.defaultFS", "abfs://" + fileSystem + "@" + HOST);
    // With a port in it, Hadoop writes http://<host>:<port>/<account>/<filesystem>.
    settings.set("fs.azure.abfs.endpoint", Lake.dfsAuthority());
    settings.setBoolean("fs.azure.always.use.https", false);
    settings.set("fs.azure.networking.library", "JDK_HTTP_URL_CONNECTION");
    settings.set("fs.azure.account.key." + HOST, Lake.KEY);
    settings.setBoolean("fs.azure.createRemoteFileSystemDuringInitialization", true);
    // A refusal must be seen as it is, and not after minutes of retries.
    settings.setInt("fs.azure.io.retry.max.retries", 1);
    return settings;
  }

  public static FileSystem open(String fileSystem) throws IOException {
    Configuration settings = settings(new Configuration(), fileSystem);
    return FileSystem.newInstance(URI.create(settings.get("fs.defaultFS")), settings);
  }
}
