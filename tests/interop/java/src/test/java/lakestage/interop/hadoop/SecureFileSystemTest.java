package lakestage.interop.hadoop;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import javax.net.ssl.SSLContext;
import lakestage.interop.Lake;
import lakestage.interop.SecureLake;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.Test;

/** Hadoop over TLS, with tokens that it gets from the lake itself. */
class SecureFileSystemTest {
  private static FileSystem open(SecureLake lake, String client) throws IOException {
    String host = Lake.ACCOUNT + ".dfs.core.windows.net";
    Configuration settings = new Configuration();
    settings.set("fs.azure.abfs.endpoint", lake.dfsAuthority());
    settings.set("fs.azure.networking.library", "JDK_HTTP_URL_CONNECTION");
    settings.set("fs.azure.ssl.channel.mode", "Default_JSSE");
    settings.set("fs.azure.account.auth.type", "OAuth");
    settings.set(
        "fs.azure.account.oauth.provider.type", "org.apache.hadoop.fs.azurebfs.oauth2.ClientCredsTokenProvider");
    settings.set(
        "fs.azure.account.oauth2.client.endpoint",
        "https://" + lake.dfsAuthority() + "/" + lake.tenant() + "/oauth2/token");
    settings.set("fs.azure.account.oauth2.client.id", client);
    settings.set("fs.azure.account.oauth2.client.secret", Lake.KEY);
    settings.setBoolean("fs.azure.createRemoteFileSystemDuringInitialization", client.equals("carol"));
    settings.setInt("fs.azure.io.retry.max.retries", 1);
    return FileSystem.newInstance(URI.create("abfss://hadoop@" + host + "/"), settings);
  }

  @Test
  void rolesHoldForWhoeverTheClientIs() throws Exception {
    SSLContext before = SSLContext.getDefault();
    try (SecureLake lake =
        new SecureLake("carol=Storage Blob Data Contributor", "rita=Storage Blob Data Reader")) {
      SSLContext.setDefault(lake.trust());
      Path file = new Path("/dir/f");
      try (FileSystem carol = open(lake, "carol");
          FileSystem rita = open(lake, "rita")) {
        try (FSDataOutputStream out = carol.create(file)) {
          out.write("text".getBytes(StandardCharsets.UTF_8));
        }
        assertEquals("carol", carol.getFileStatus(file).getOwner());
        try (FSDataInputStream in = rita.open(file)) {
          assertEquals("text", new String(in.readAllBytes(), StandardCharsets.UTF_8));
        }
        assertThrows(AccessDeniedException.class, () -> rita.create(new Path("/dir/g")).close());
        assertThrows(AccessDeniedException.class, () -> rita.delete(file, false));
      }
    } finally {
      SSLContext.setDefault(before);
    }
  }
}
