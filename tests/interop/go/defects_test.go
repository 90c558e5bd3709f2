package interop

import "testing"

// Runs what the emulator is known not to do yet: it must fail, so that its mending is noticed.
func knownDefect(t *testing.T, why string, body func() error) {
	t.Helper()
	err := body()
	if err == nil {
		t.Fatalf("mended, so let it be an ordinary test: %s", why)
	}
	t.Logf("known defect (%s): %v", why, err)
}
