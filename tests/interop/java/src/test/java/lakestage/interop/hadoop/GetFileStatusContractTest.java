package lakestage.interop.hadoop;

import lakestage.interop.KnownDefect;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.contract.AbstractContractGetFileStatusTest;
import org.apache.hadoop.fs.contract.AbstractFSContract;
import org.junit.jupiter.api.Test;

class GetFileStatusContractTest extends AbstractContractGetFileStatusTest {
  private static final String LISTING_A_FILE =
      "Azure lists a file as the one path in itself; the emulator answers 404 PathNotFound";

  @Override
  protected AbstractFSContract createContract(Configuration settings) {
    return new AbfsContract(settings);
  }

  @Test
  @Override
  public void testListStatusFile() {
    KnownDefect.fails(LISTING_A_FILE, super::testListStatusFile);
  }

  @Test
  @Override
  public void testListLocatedStatusFile() {
    KnownDefect.fails(LISTING_A_FILE, super::testListLocatedStatusFile);
  }

  @Test
  @Override
  public void testListFilesFile() {
    KnownDefect.fails(LISTING_A_FILE, super::testListFilesFile);
  }

  @Test
  @Override
  public void testListFilesFileRecursive() {
    KnownDefect.fails(LISTING_A_FILE, super::testListFilesFileRecursive);
  }

  @Test
  @Override
  public void testListStatusIteratorFile() {
    KnownDefect.fails(LISTING_A_FILE, super::testListStatusIteratorFile);
  }

  @Test
  @Override
  public void testListStatusFilteredFile() {
    KnownDefect.fails(LISTING_A_FILE, super::testListStatusFilteredFile);
  }

  @Test
  @Override
  public void testListStatusFiltering() {
    KnownDefect.fails(LISTING_A_FILE, super::testListStatusFiltering);
  }

  @Test
  @Override
  public void testListLocatedStatusFiltering() {
    KnownDefect.fails(LISTING_A_FILE, super::testListLocatedStatusFiltering);
  }
}
