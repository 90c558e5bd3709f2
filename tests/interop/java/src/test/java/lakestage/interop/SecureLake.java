package lakestage.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** A lake that speaks TLS and knows roles, as long as it is open. */
public final class SecureLake implements AutoCloseable {
  private final Process server;
  private final JsonNode serving;

  /** Serves with roles, each as {@code id=role}. */
  public SecureLake(String... roles) throws IOException {
    ProcessBuilder command =
        new ProcessBuilder(
            System.getenv("LAKESTAGE_BIN"), "--json", "serve", "--memory", "--self-signed", "--https-only",
            "--blob-port", "0", "--dfs-port", "0");
    for (String role : roles) {
      command.command().add("--role");
      command.command().add(role);
    }
    server = command.redirectError(ProcessBuilder.Redirect.INHERIT).start();
    serving = new ObjectMapper().readTree(server.inputReader().readLine());
  }

  public String dfsEndpoint() {
    return serving.get("dfsEndpoint").asText();
  }

  /** Host and port of the DFS endpoint. */
  public String dfsAuthority() {
    return dfsEndpoint().split("/")[2];
  }

  public String tenant() {
    return serving.get("tenant").asText();
  }

  /** What trusts the lake's authority, and no other. */
  public SSLContext trust() throws IOException, GeneralSecurityException {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (InputStream pem = Files.newInputStream(Path.of(serving.get("certificateAuthority").asText()))) {
      store.setCertificateEntry("lakestage", CertificateFactory.getInstance("X.509").generateCertificate(pem));
    }
    TrustManagerFactory managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    managers.init(store);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, managers.getTrustManagers(), null);
    return context;
  }

  @Override
  public void close() throws InterruptedException {
    server.destroy();
    if (server.waitFor() != 0) {
      throw new IllegalStateException("the server ended badly");
    }
  }
}
