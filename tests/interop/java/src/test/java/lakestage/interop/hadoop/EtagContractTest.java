package lakestage.interop.hadoop;

import lakestage.interop.KnownDefect;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.contract.AbstractContractEtagTest;
import org.apache.hadoop.fs.contract.AbstractFSContract;
import org.junit.jupiter.api.Test;

class EtagContractTest extends AbstractContractEtagTest {
  private static final String LISTING_A_FILE =
      "Azure lists a file as the one path in itself; the emulator answers 404 PathNotFound";

  @Override
  protected AbstractFSContract createContract(Configuration settings) {
    return new AbfsContract(settings);
  }

  @Test
  @Override
  public void testEtagConsistencyAcrossListAndHead() {
    KnownDefect.fails(LISTING_A_FILE, super::testEtagConsistencyAcrossListAndHead);
  }
}
