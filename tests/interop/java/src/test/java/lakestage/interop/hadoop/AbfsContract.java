package lakestage.interop.hadoop;

import java.io.IOException;
import lakestage.interop.Lake;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.contract.AbstractFSContract;
import org.apache.hadoop.fs.contract.ContractOptions;

/** What Hadoop's contract may ask of ABFS over an account with a hierarchical namespace. */
public final class AbfsContract extends AbstractFSContract {
  private static final String FILE_SYSTEM = Lake.freshName();

  public AbfsContract(Configuration settings) {
    super(Abfs.settings(settings, FILE_SYSTEM));
    yes(ContractOptions.SUPPORTS_APPEND);
    yes(ContractOptions.SUPPORTS_SEEK);
    yes(ContractOptions.REJECTS_SEEK_PAST_EOF);
    yes(ContractOptions.SUPPORTS_GETFILESTATUS);
    yes(ContractOptions.SUPPORTS_UNBUFFER);
    yes(ContractOptions.SUPPORTS_HFLUSH);
    yes(ContractOptions.SUPPORTS_HSYNC);
    yes(ContractOptions.METADATA_UPDATED_ON_HSYNC);
    yes(ContractOptions.SUPPORTS_ATOMIC_RENAME);
    yes(ContractOptions.SUPPORTS_ATOMIC_DIRECTORY_DELETE);
    yes(ContractOptions.SUPPORTS_CONTENT_CHECK);
    yes(ContractOptions.IS_CASE_SENSITIVE);
    yes(ContractOptions.TEST_ROOT_TESTS_ENABLED);
    yes(ContractOptions.RENAME_RETURNS_FALSE_IF_SOURCE_MISSING);
    yes(ContractOptions.RENAME_RETURNS_FALSE_IF_DEST_EXISTS);
    no(ContractOptions.RENAME_OVERWRITES_DEST);
    no(ContractOptions.RENAME_CREATES_DEST_DIRS);
    no(ContractOptions.SUPPORTS_SETTIMES);
    no(ContractOptions.SUPPORTS_CONCAT);
  }

  private void yes(String option) {
    getConf().setBoolean(getConfKey(option), true);
  }

  private void no(String option) {
    getConf().setBoolean(getConfKey(option), false);
  }

  @Override
  public FileSystem getTestFileSystem() throws IOException {
    return FileSystem.get(getConf());
  }

  @Override
  public String getScheme() {
    return "abfs";
  }

  @Override
  public Path getTestPath() {
    return new Path("/contract");
  }
}
