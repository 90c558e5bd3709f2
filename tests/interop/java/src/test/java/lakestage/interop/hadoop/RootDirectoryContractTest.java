package lakestage.interop.hadoop;

import static org.junit.jupiter.api.Assertions.assertThrows;

import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.contract.AbstractContractRootDirectoryTest;
import org.apache.hadoop.fs.contract.AbstractFSContract;
import org.junit.jupiter.api.Test;

class RootDirectoryContractTest extends AbstractContractRootDirectoryTest {
  @Override
  protected AbstractFSContract createContract(Configuration settings) {
    return new AbfsContract(settings);
  }

  // ABFS answers false without asking the server, where the contract wants an exception.
  @Test
  @Override
  public void testRmNonEmptyRootDirNonRecursive() {
    assertThrows(AssertionError.class, super::testRmNonEmptyRootDirNonRecursive);
  }
}
