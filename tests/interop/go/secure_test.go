package interop

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/filesystem"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azdatalake/service"
)

type securely struct {
	served
	CertificateAuthority string `json:"certificateAuthority"`
}

// A credential that brings the tokens of `lakestage token`.
type issued struct{ oid string }

func (i issued) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	var made struct {
		Token        string `json:"token"`
		ExpiresUnixS int64  `json:"expiresUnixS"`
	}
	text, err := exec.Command(os.Getenv("LAKESTAGE_BIN"), "--json", "token", "--oid", i.oid).Output()
	if err == nil {
		err = json.Unmarshal(text, &made)
	}
	return azcore.AccessToken{Token: made.Token, ExpiresOn: time.Unix(made.ExpiresUnixS, 0)}, err
}

// A server that speaks TLS, and a client that trusts its authority.
func startSecurely(t *testing.T) (securely, azcore.ClientOptions) {
	t.Helper()
	server := exec.Command(os.Getenv("LAKESTAGE_BIN"), "--json", "serve", "--memory", "--self-signed", "--https-only",
		"--role", "rita=Storage Blob Data Reader", "--blob-port", "0", "--dfs-port", "0")
	server.Stderr = os.Stderr
	output, err := server.StdoutPipe()
	ok(t, err)
	ok(t, server.Start())
	t.Cleanup(func() {
		ok(t, server.Process.Signal(syscall.SIGTERM))
		ok(t, server.Wait())
	})
	lines := bufio.NewScanner(output)
	if !lines.Scan() {
		t.Fatal("the server ended before it served")
	}
	var serving securely
	ok(t, json.Unmarshal(lines.Bytes(), &serving))
	pem, err := os.ReadFile(serving.CertificateAuthority)
	ok(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the authority is no certificate")
	}
	options := coreOptions()
	// The client takes the account's name for signatures by delegation out of the host, so it stands there.
	address := strings.Split(serving.DfsEndpoint, "/")[2]
	_, port, err := net.SplitHostPort(address)
	ok(t, err)
	serving.DfsEndpoint = "https://" + account + ".dfs.localhost:" + port
	options.Transport = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	return serving, options
}

func TestTokensAndSignaturesByDelegationOverTLS(t *testing.T) {
	serving, options := startSecurely(t)
	owner, err := service.NewClientWithSharedKeyCredential(serving.DfsEndpoint, credential(), &service.ClientOptions{ClientOptions: options})
	ok(t, err)
	fs := owner.NewFileSystemClient("secure")
	must(t)(fs.Create(ctx, nil))
	write(t, fs, "dir/f", "text")

	as := func(oid string) *service.Client {
		made, err := service.NewClient(serving.DfsEndpoint, issued{oid}, &service.ClientOptions{ClientOptions: options})
		ok(t, err)
		return made
	}
	rita := as("rita")
	equal(t, read(t, rita.NewFileSystemClient("secure").NewFileClient("dir/f")), "text")
	_, err = rita.NewFileSystemClient("secure").NewFileClient("g").Create(ctx, nil)
	refused(t, err, 403, "AuthorizationPermissionMismatch")
	_, err = as("nobody").NewFileSystemClient("secure").NewFileClient("dir/f").DownloadStream(ctx, nil)
	refused(t, err, 403, "AuthorizationPermissionMismatch")

	start, expiry := time.Now().Add(-5*time.Minute).UTC(), time.Now().Add(time.Hour).UTC()
	begin, end := start.Format(sas.TimeFormat), expiry.Format(sas.TimeFormat)
	delegation, err := rita.GetUserDelegationCredential(ctx, service.KeyInfo{Start: &begin, Expiry: &end}, nil)
	ok(t, err)
	parameters, err := sas.DatalakeSignatureValues{
		Protocol:       sas.ProtocolHTTPS,
		ExpiryTime:     expiry,
		FileSystemName: "secure",
		Permissions:    (&sas.FileSystemPermissions{Read: true, List: true, Create: true}).String(),
	}.SignWithUserDelegation(delegation)
	ok(t, err)
	signed, err := filesystem.NewClientWithNoCredential(serving.DfsEndpoint+"/secure?"+parameters.Encode(),
		&filesystem.ClientOptions{ClientOptions: options})
	ok(t, err)
	equal(t, read(t, signed.NewFileClient("dir/f")), "text")
	same(t, list(t, signed, true, ""), []string{"dir", "dir/f"})
	_, err = signed.NewFileClient("g").Create(ctx, nil)
	refused(t, err, 403, "AuthorizationPermissionMismatch")
}
