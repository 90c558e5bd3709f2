package lakestage.interop.datalake;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.azure.core.credential.AccessToken;
import com.azure.core.credential.TokenCredential;
import com.azure.core.http.HttpClient;
import com.azure.core.http.jdk.httpclient.JdkHttpClientBuilder;
import com.azure.core.util.BinaryData;
import com.azure.storage.common.StorageSharedKeyCredential;
import com.azure.storage.common.policy.RequestRetryOptions;
import com.azure.storage.common.policy.RetryPolicyType;
import com.azure.storage.file.datalake.DataLakeFileSystemClient;
import com.azure.storage.file.datalake.DataLakeFileSystemClientBuilder;
import com.azure.storage.file.datalake.DataLakeServiceClientBuilder;
import com.azure.storage.file.datalake.models.DataLakeStorageException;
import com.azure.storage.file.datalake.models.UserDelegationKey;
import com.azure.storage.file.datalake.sas.DataLakeServiceSasSignatureValues;
import com.azure.storage.file.datalake.sas.FileSystemSasPermission;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import lakestage.interop.Lake;
import lakestage.interop.SecureLake;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import reactor.core.publisher.Mono;

/** TLS with the lake's own authority, tokens, and signatures by delegation. */
class SecureTest {
  private static final String PROGRAM = System.getenv("LAKESTAGE_BIN");

  private static SecureLake secure;
  private static HttpClient client;

  @BeforeAll
  static void start() throws Exception {
    secure = new SecureLake("rita=Storage Blob Data Reader");
    client = new JdkHttpClientBuilder(java.net.http.HttpClient.newBuilder().sslContext(secure.trust())).build();
    DataLakeFileSystemClient lake =
        builder()
            .credential(new StorageSharedKeyCredential(Lake.ACCOUNT, Lake.KEY))
            .buildClient()
            .createFileSystem("secure");
    lake.getFileClient("dir/f").upload(BinaryData.fromString("text"));
  }

  @AfterAll
  static void end() throws InterruptedException {
    secure.close();
  }

  private static DataLakeServiceClientBuilder builder() {
    return new DataLakeServiceClientBuilder()
        .endpoint(secure.dfsEndpoint())
        .httpClient(client)
        .retryOptions(new RequestRetryOptions(RetryPolicyType.FIXED, 1, (Integer) null, null, null, null));
  }

  /** A credential that brings the tokens of `lakestage token`. */
  private static TokenCredential issued(String oid) {
    return request -> Mono.fromCallable(() -> token(oid));
  }

  private static AccessToken token(String oid) throws IOException {
    Process made = new ProcessBuilder(PROGRAM, "--json", "token", "--oid", oid).start();
    JsonNode token = new ObjectMapper().readTree(made.inputReader().readLine());
    OffsetDateTime expiry =
        OffsetDateTime.ofInstant(Instant.ofEpochSecond(token.get("expiresUnixS").asLong()), ZoneOffset.UTC);
    return new AccessToken(token.get("token").asText(), expiry);
  }

  private static DataLakeFileSystemClient as(String oid) {
    return builder().credential(issued(oid)).buildClient().getFileSystemClient("secure");
  }

  private static String text(DataLakeFileSystemClient lake) {
    ByteArrayOutputStream content = new ByteArrayOutputStream();
    lake.getFileClient("dir/f").read(content);
    return content.toString(StandardCharsets.UTF_8);
  }

  private static void denied(Runnable work) {
    DataLakeStorageException refusal = assertThrows(DataLakeStorageException.class, work::run);
    assertEquals(403, refusal.getStatusCode());
    assertEquals("AuthorizationPermissionMismatch", refusal.getErrorCode());
  }

  @Test
  void somebodyWithATokenDoesWhatARoleLets() {
    assertEquals("text", text(as("rita")));
    denied(() -> as("rita").createFile("g"));
    denied(() -> as("nobody").getFileClient("dir/f").createIfNotExists());
  }

  @Test
  void aSignatureByDelegationOpensWhatItsOwnerMay() {
    OffsetDateTime now = OffsetDateTime.now(ZoneOffset.UTC);
    UserDelegationKey key =
        builder()
            .credential(issued("rita"))
            .buildClient()
            .getUserDelegationKey(now.minusMinutes(5), now.plusHours(1));
    assertEquals("rita", key.getSignedObjectId());
    FileSystemSasPermission letters = new FileSystemSasPermission().setReadPermission(true).setCreatePermission(true);
    String signature =
        as("rita").generateUserDelegationSas(
            new DataLakeServiceSasSignatureValues(now.plusMinutes(30), letters), key, Lake.ACCOUNT, null);
    DataLakeFileSystemClient signed =
        new DataLakeFileSystemClientBuilder()
            .endpoint(secure.dfsEndpoint())
            .fileSystemName("secure")
            .sasToken(signature)
            .httpClient(client)
            .buildClient();
    assertEquals("text", text(signed));
    denied(() -> signed.createFile("g"));
  }
}
