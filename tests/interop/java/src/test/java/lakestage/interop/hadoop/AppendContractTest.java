package lakestage.interop.hadoop;

import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.FileNotFoundException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.contract.AbstractContractAppendTest;
import org.apache.hadoop.fs.contract.AbstractFSContract;
import org.junit.jupiter.api.Test;

class AppendContractTest extends AbstractContractAppendTest {
  @Override
  protected AbstractFSContract createContract(Configuration settings) {
    return new AbfsContract(settings);
  }

  // ABFS knows a file by its path, so an open one cannot be renamed; Hadoop's own tests pass over this.
  @Test
  @Override
  public void testRenameFileBeingAppended() {
    assertThrows(FileNotFoundException.class, super::testRenameFileBeingAppended);
  }
}
