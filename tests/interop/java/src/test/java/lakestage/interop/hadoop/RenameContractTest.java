package lakestage.interop.hadoop;

import lakestage.interop.KnownDefect;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.contract.AbstractContractRenameTest;
import org.apache.hadoop.fs.contract.AbstractFSContract;
import org.junit.jupiter.api.Test;

class RenameContractTest extends AbstractContractRenameTest {
  private static final String INTO_A_DIRECTORY =
      "without mode=legacy, Azure moves into a directory that is there; the emulator replaces or refuses";

  @Override
  protected AbstractFSContract createContract(Configuration settings) {
    return new AbfsContract(settings);
  }

  @Test
  @Override
  public void testRenameDirIntoExistingDir() {
    KnownDefect.fails(INTO_A_DIRECTORY, super::testRenameDirIntoExistingDir);
  }

  @Test
  @Override
  public void testRenameWithNonEmptySubDir() {
    KnownDefect.fails(INTO_A_DIRECTORY, super::testRenameWithNonEmptySubDir);
  }
}
