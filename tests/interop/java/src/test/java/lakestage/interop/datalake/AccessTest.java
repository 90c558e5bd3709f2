package lakestage.interop.datalake;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.azure.core.util.BinaryData;
import com.azure.core.util.Context;
import com.azure.storage.common.StorageSharedKeyCredential;
import com.azure.storage.file.datalake.DataLakeDirectoryClient;
import com.azure.storage.file.datalake.DataLakeFileClient;
import com.azure.storage.file.datalake.DataLakeFileSystemClient;
import com.azure.storage.file.datalake.DataLakeFileSystemClientBuilder;
import com.azure.storage.file.datalake.DataLakeServiceClientBuilder;
import com.azure.storage.file.datalake.models.AccessControlChangeResult;
import com.azure.storage.file.datalake.models.DataLakeRequestConditions;
import com.azure.storage.file.datalake.models.LeaseStateType;
import com.azure.storage.file.datalake.models.PathAccessControlEntry;
import com.azure.storage.file.datalake.models.PathPermissions;
import com.azure.storage.file.datalake.models.PathRemoveAccessControlEntry;
import com.azure.storage.file.datalake.options.PathUpdateAccessControlRecursiveOptions;
import com.azure.storage.file.datalake.sas.DataLakeServiceSasSignatureValues;
import com.azure.storage.file.datalake.sas.FileSystemSasPermission;
import com.azure.storage.file.datalake.specialized.DataLakeLeaseClient;
import com.azure.storage.file.datalake.specialized.DataLakeLeaseClientBuilder;
import java.time.OffsetDateTime;
import java.util.List;
import java.util.Map;
import lakestage.interop.Lake;
import org.junit.jupiter.api.Test;

class AccessTest extends DatalakeTest {
  private static final String ZOE = "11111111-2222-3333-4444-555555555555";

  private String acl(String path) {
    return PathAccessControlEntry.serializeList(lake.getFileClient(path).getAccessControl().getAccessControlList());
  }

  @Test
  void permissionsAndListsAreSet() {
    DataLakeFileClient file = write("f", "x");
    file.setPermissions(PathPermissions.parseSymbolic("rwxr-x--x"), "staff", ZOE);
    assertEquals("0751", file.getAccessControl().getPermissions().toString());
    assertEquals("staff", file.getAccessControl().getGroup());
    assertEquals(ZOE, file.getAccessControl().getOwner());
    file.setAccessControlList(
        PathAccessControlEntry.parseList("user::rwx,user:" + ZOE + ":rwx,group::r--,other::---"), null, null);
    assertEquals("user::rwx,user:" + ZOE + ":rwx,group::r--,mask::rwx,other::---", acl("f"));
  }

  @Test
  void aTreeTakesChangesInBatches() {
    for (String path : List.of("d/a", "d/b", "d/e/c", "d/e/f/g")) {
      write(path, "x");
    }
    DataLakeDirectoryClient directory = lake.getDirectoryClient("d");
    List<PathAccessControlEntry> change = PathAccessControlEntry.parseList("user:" + ZOE + ":r-x");
    AccessControlChangeResult first =
        directory
            .updateAccessControlRecursiveWithResponse(
                new PathUpdateAccessControlRecursiveOptions(change).setBatchSize(3).setMaxBatches(1), null, Context.NONE)
            .getValue();
    assertEquals(3, first.getCounters().getChangedDirectoriesCount() + first.getCounters().getChangedFilesCount());
    AccessControlChangeResult rest =
        directory
            .updateAccessControlRecursiveWithResponse(
                new PathUpdateAccessControlRecursiveOptions(change).setContinuationToken(first.getContinuationToken()),
                null,
                Context.NONE)
            .getValue();
    assertEquals(4, rest.getCounters().getChangedDirectoriesCount() + rest.getCounters().getChangedFilesCount());
    assertTrue(acl("d/e/f/g").contains(ZOE));
    directory.removeAccessControlRecursive(PathRemoveAccessControlEntry.parseList("user:" + ZOE));
    assertFalse(acl("d/e/f/g").contains(ZOE));
    directory.setAccessControlRecursive(PathAccessControlEntry.parseList("user::rw-,group::---,other::---"));
    assertEquals("user::rw-,group::---,other::---", acl("d/e/f/g"));
  }

  @Test
  void aLeaseIsTakenRenewedChangedAndGivenBack() {
    DataLakeFileClient file = write("f", "abc");
    DataLakeLeaseClient lease = new DataLakeLeaseClientBuilder().fileClient(file).buildClient();
    lease.acquireLease(15);
    assertEquals(LeaseStateType.LEASED, file.getProperties().getLeaseState());
    refused(412, "LeaseIdMissing", () -> file.setMetadata(Map.of("a", "1")));
    refused(412, "LeaseIdMissing", () -> file.append(BinaryData.fromString("d"), 3));
    refused(412, "LeaseIdMissing", file::delete);
    DataLakeRequestConditions held = new DataLakeRequestConditions().setLeaseId(lease.getLeaseId());
    file.setMetadataWithResponse(Map.of("a", "1"), held, null, Context.NONE);
    lease.renewLease();
    lease.changeLease("22222222-2222-2222-2222-222222222222");
    lease.releaseLease();
    assertEquals(LeaseStateType.AVAILABLE, file.getProperties().getLeaseState());
    lease.acquireLease(-1);
    assertEquals(0, lease.breakLeaseWithResponse(0, null, null, Context.NONE).getValue());
    refused(409, "LeaseIsBrokenAndCannotBeRenewed", lease::renewLease);
  }

  @Test
  void aSignatureOpensWhatItPermits() {
    write("f", "x");
    String signature =
        lake.generateSas(
            new DataLakeServiceSasSignatureValues(
                OffsetDateTime.now().plusHours(1),
                new FileSystemSasPermission().setReadPermission(true).setListPermission(true)));
    DataLakeFileSystemClient reader =
        new DataLakeFileSystemClientBuilder()
            .endpoint(Lake.dfsEndpoint())
            .fileSystemName(lake.getFileSystemName())
            .sasToken(signature)
            .retryOptions(ONCE)
            .buildClient();
    assertEquals("x", read(reader.getFileClient("f")));
    assertEquals(1, reader.listPaths().stream().count());
    refused(403, "AuthorizationPermissionMismatch", () -> reader.createFile("g"));
  }

  @Test
  void aWrongKeyIsRefused() {
    var other =
        new DataLakeServiceClientBuilder()
            .endpoint(Lake.dfsEndpoint())
            .credential(new StorageSharedKeyCredential(Lake.ACCOUNT, "c2VjcmV0"))
            .retryOptions(ONCE)
            .buildClient();
    refused(403, "AuthenticationFailed", () -> other.getFileSystemClient("any").createFile("f"));
    refused(403, "AuthenticationFailed", () -> other.listFileSystems().stream().count());
  }
}
