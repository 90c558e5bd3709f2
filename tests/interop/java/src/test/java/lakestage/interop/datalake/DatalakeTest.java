package lakestage.interop.datalake;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.azure.core.util.BinaryData;
import com.azure.storage.common.StorageSharedKeyCredential;
import com.azure.storage.common.policy.RequestRetryOptions;
import com.azure.storage.common.policy.RetryPolicyType;
import com.azure.storage.file.datalake.DataLakeFileClient;
import com.azure.storage.file.datalake.DataLakeFileSystemClient;
import com.azure.storage.file.datalake.DataLakeServiceClient;
import com.azure.storage.file.datalake.DataLakeServiceClientBuilder;
import com.azure.storage.file.datalake.models.DataLakeStorageException;
import com.azure.storage.file.datalake.models.ListPathsOptions;
import com.azure.storage.file.datalake.models.PathItem;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import lakestage.interop.Lake;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.function.Executable;

/** A filesystem for each test of Azure's own client, and how that client shows a refusal. */
abstract class DatalakeTest {
  /** One try, so that a refusal that the client would repeat is seen at once. */
  static final RequestRetryOptions ONCE = new RequestRetryOptions(RetryPolicyType.FIXED, 1, 60, null, null, null);

  static final DataLakeServiceClient SERVICE =
      new DataLakeServiceClientBuilder()
          .endpoint(Lake.dfsEndpoint())
          .credential(new StorageSharedKeyCredential(Lake.ACCOUNT, Lake.KEY))
          .retryOptions(ONCE)
          .buildClient();

  DataLakeFileSystemClient lake;

  @BeforeEach
  void makeAFilesystem() {
    lake = SERVICE.createFileSystem(Lake.freshName());
  }

  @AfterEach
  void deleteIt() {
    lake.deleteIfExists();
  }

  static void refused(int status, String code, Executable operation) {
    DataLakeStorageException error = assertThrows(DataLakeStorageException.class, operation);
    assertEquals(status + " " + code, error.getStatusCode() + " " + error.getErrorCode(), error.getMessage());
  }

  DataLakeFileClient write(String path, String text) {
    DataLakeFileClient file = lake.getFileClient(path);
    file.upload(BinaryData.fromString(text), true);
    return file;
  }

  static String read(DataLakeFileClient file) {
    ByteArrayOutputStream content = new ByteArrayOutputStream();
    file.read(content);
    return content.toString(StandardCharsets.UTF_8);
  }

  List<String> list(String path, boolean recursive) {
    ListPathsOptions options = new ListPathsOptions().setPath(path).setRecursive(recursive);
    return lake.listPaths(options, null).stream().map(PathItem::getName).toList();
  }
}
