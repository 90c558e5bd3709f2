package lakestage.interop.hadoop;

import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.contract.AbstractContractUnbufferTest;
import org.apache.hadoop.fs.contract.AbstractFSContract;
import org.junit.jupiter.api.Test;

class UnbufferContractTest extends AbstractContractUnbufferTest {
  @Override
  protected AbstractFSContract createContract(Configuration settings) {
    return new AbfsContract(settings);
  }

  // A closed stream of ABFS does not tell its position, which the contract asks for; no request is sent.
  @Test
  @Override
  public void testUnbufferOnClosedFile() {
    assertThrows(IOException.class, super::testUnbufferOnClosedFile);
  }
}
