package lakestage.interop.datalake;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.azure.core.util.BinaryData;
import com.azure.core.util.Context;
import com.azure.storage.common.ParallelTransferOptions;
import com.azure.storage.file.datalake.DataLakeFileClient;
import com.azure.storage.file.datalake.models.DataLakeRequestConditions;
import com.azure.storage.file.datalake.models.FileExpirationOffset;
import com.azure.storage.file.datalake.models.FileRange;
import com.azure.storage.file.datalake.models.PathHttpHeaders;
import com.azure.storage.file.datalake.models.PathProperties;
import com.azure.storage.file.datalake.options.DataLakePathCreateOptions;
import com.azure.storage.file.datalake.options.FileParallelUploadOptions;
import com.azure.storage.file.datalake.options.FileScheduleDeletionOptions;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FilesTest extends DatalakeTest {
  @Test
  void aFileIsMadeWithHeadersMetadataAndPermissions() {
    DataLakeFileClient file = lake.getFileClient("deep/down/a.csv");
    file.createWithResponse(
        new DataLakePathCreateOptions()
            .setPathHttpHeaders(
                new PathHttpHeaders()
                    .setContentType("text/csv")
                    .setContentLanguage("en-GB")
                    .setContentDisposition("inline")
                    .setCacheControl("no-store"))
            .setMetadata(Map.of("purpose", "tests"))
            .setPermissions("0766")
            .setUmask("0000"),
        null,
        Context.NONE);
    PathProperties found = file.getProperties();
    assertEquals("text/csv", found.getContentType());
    assertEquals("en-GB", found.getContentLanguage());
    assertEquals("inline", found.getContentDisposition());
    assertEquals("no-store", found.getCacheControl());
    assertEquals(Map.of("purpose", "tests"), found.getMetadata());
    assertEquals("0766", file.getAccessControl().getPermissions().toString());
    assertFalse(found.isDirectory());
  }

  @Test
  void appendsBecomeContentWhenTheyAreFlushed() {
    DataLakeFileClient file = lake.createFile("f");
    file.append(BinaryData.fromString("lake"), 6);
    file.append(BinaryData.fromString("local "), 0);
    assertEquals(0, file.getProperties().getFileSize());
    refused(400, "InvalidFlushPosition", () -> file.flush(20, true));
    file.flush(10, true);
    assertEquals("local lake", read(file));
  }

  @Test
  void anAppendWithAWrongMd5IsRefused() throws Exception {
    DataLakeFileClient file = lake.createFile("f");
    byte[] content = "checked".getBytes();
    byte[] wrong = MessageDigest.getInstance("MD5").digest("other".getBytes());
    refused(
        400,
        "Md5Mismatch",
        () -> file.appendWithResponse(new ByteArrayInputStream(content), 0, content.length, wrong, null, null, Context.NONE));
    byte[] right = MessageDigest.getInstance("MD5").digest(content);
    file.appendWithResponse(new ByteArrayInputStream(content), 0, content.length, right, null, null, Context.NONE);
    file.flush(content.length, true);
    assertEquals("checked", read(file));
  }

  @Test
  void largeContentGoesUpAndDownInParallel(@TempDir Path folder) throws Exception {
    byte[] content = new byte[40_000_123];
    new Random(1).nextBytes(content);
    Files.write(folder.resolve("up"), content);
    DataLakeFileClient file = lake.getFileClient("large");
    ParallelTransferOptions pieces =
        new ParallelTransferOptions().setBlockSizeLong(4L << 20).setMaxConcurrency(6).setMaxSingleUploadSizeLong(1L << 20);
    file.uploadFromFile(folder.resolve("up").toString(), pieces, null, null, null, null);
    file.readToFile(folder.resolve("down").toString());
    assertArrayEquals(content, Files.readAllBytes(folder.resolve("down")));
    DataLakeFileClient stream = lake.getFileClient("stream");
    stream.uploadWithResponse(
        new FileParallelUploadOptions(new ByteArrayInputStream(content)).setParallelTransferOptions(pieces), null, Context.NONE);
    ByteArrayOutputStream part = new ByteArrayOutputStream();
    stream.readWithResponse(part, new FileRange(5_000_000, 1_000L), null, null, false, null, Context.NONE);
    assertArrayEquals(Arrays.copyOfRange(content, 5_000_000, 5_001_000), part.toByteArray());
    try (var in = stream.openInputStream().getInputStream()) {
      assertArrayEquals(content, in.readAllBytes());
    }
  }

  @Test
  void anOutputStreamWritesAFile() throws Exception {
    DataLakeFileClient file = lake.getFileClient("f");
    try (var out = file.getOutputStream()) {
      out.write("streamed".getBytes());
    }
    assertEquals("streamed", read(file));
  }

  @Test
  void uploadsReplaceOnlyWhereTheyMay() {
    DataLakeFileClient file = write("f", "first and longer");
    refused(409, "PathAlreadyExists", () -> file.upload(BinaryData.fromString("x")));
    write("f", "second");
    assertEquals("second", read(file));
    refused(409, "PathAlreadyExists", () -> lake.createFile("f", false));
  }

  @Test
  void headersAndMetadataAreReplaced() {
    DataLakeFileClient file = write("f", "abc");
    String before = file.getProperties().getETag();
    file.setHttpHeaders(new PathHttpHeaders().setContentType("application/json"));
    file.setMetadata(Map.of("one", "1"));
    file.setMetadata(Map.of("two", "two words"));
    PathProperties found = file.getProperties();
    assertEquals("application/json", found.getContentType());
    assertEquals(Map.of("two", "two words"), found.getMetadata());
    assertNotEquals(before, found.getETag());
  }

  @Test
  void conditionsAreKept() {
    DataLakeFileClient file = write("f", "abc");
    DataLakeRequestConditions wrong = new DataLakeRequestConditions().setIfMatch("\"0x1\"");
    refused(412, "ConditionNotMet", () -> file.setMetadataWithResponse(Map.of("a", "1"), wrong, null, Context.NONE));
    refused(412, "ConditionNotMet", () -> file.flushWithResponse(3, false, false, null, wrong, null, Context.NONE));
    refused(412, "ConditionNotMet", () -> file.deleteWithResponse(wrong, null, Context.NONE));
    refused(412, "ConditionNotMet", () -> file.getPropertiesWithResponse(wrong, null, Context.NONE));
    refused(412, "ConditionNotMet", () -> file.getAccessControlWithResponse(false, wrong, null, Context.NONE));
    String tag = file.getProperties().getETag();
    DataLakeRequestConditions same = new DataLakeRequestConditions().setIfNoneMatch(tag);
    refused(
        304,
        "ConditionNotMet",
        () -> file.readWithResponse(new ByteArrayOutputStream(), null, null, same, false, null, Context.NONE));
    file.deleteWithResponse(new DataLakeRequestConditions().setIfMatch(tag), null, Context.NONE);
    assertFalse(file.exists());
  }

  @Test
  void whatIsNotThereIsSaidToBeMissing() {
    DataLakeFileClient file = lake.getFileClient("missing");
    assertFalse(file.exists());
    refused(404, "BlobNotFound", file::getProperties);
    refused(404, "BlobNotFound", () -> read(file));
    refused(404, "PathNotFound", file::delete);
    refused(404, "PathNotFound", () -> file.append(BinaryData.fromString("x"), 0));
    assertFalse(file.deleteIfExists());
  }

  @Test
  void aFileExpires() throws Exception {
    DataLakeFileClient file = write("f", "abc");
    OffsetDateTime at = OffsetDateTime.now().plusHours(1).truncatedTo(ChronoUnit.SECONDS);
    file.scheduleDeletion(new FileScheduleDeletionOptions(at));
    assertTrue(at.isEqual(file.getProperties().getExpiresOn()));
    file.scheduleDeletion(
        new FileScheduleDeletionOptions(
            Duration.ofMillis(200), FileExpirationOffset.NOW));
    Thread.sleep(1_500);
    assertFalse(file.exists());
  }
}
