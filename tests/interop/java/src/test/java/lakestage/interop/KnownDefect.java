package lakestage.interop;

import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.function.Executable;

/** Runs what the emulator is known not to do yet: it must fail, so that its mending is noticed. */
public final class KnownDefect {
  private KnownDefect() {}

  public static void fails(String why, Executable body) {
    assertThrows(Throwable.class, body, "mended, so let it be an ordinary test: " + why);
  }
}
