// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

var (
	//go:embed faucet-requirements.txt
	faucetRequirements []byte
	//go:embed faucetconfrpc-requirements.txt
	faucetConfRPCRequirements []byte
)

// FaucetVenv returns a Python environment with Faucet in the cache directory,
// made with the machine's Python when it is not there (some 20 s, 150 MB).
func FaucetVenv(ctx context.Context, cache string, progress io.Writer) (string, error) {
	return venv(ctx, cache, "faucet", faucetRequirements, progress)
}

// FaucetConfRPCVenv is FaucetVenv for faucetconfrpc, which wants another Faucet.
func FaucetConfRPCVenv(ctx context.Context, cache string, progress io.Writer) (string, error) {
	return venv(ctx, cache, "faucetconfrpc", faucetConfRPCRequirements, progress)
}

func venv(ctx context.Context, cache, name string, requirements []byte, progress io.Writer) (string, error) {
	// Debian's, not whichever is first in PATH: it is the one with python3-venv.
	const python = "/usr/bin/python3"
	version, err := exec.CommandContext(ctx, python, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("cannot run %q: %w", python, err)
	}
	key := sha256.Sum256(append(version, requirements...))
	venv := filepath.Join(cache, fmt.Sprintf("%s-%x", name, key[:6]))
	// An environment cannot be renamed (its programs know their path), so the
	// file that marks it complete is what is made once.
	return venv, Once(venv+".complete", func() error {
		fmt.Fprintf(progress, "installing %s in %s, once, about half a minute\n", name, venv)
		if err := os.RemoveAll(venv); err != nil {
			return err
		}
		list := venv + ".requirements"
		if err := os.WriteFile(list, requirements, 0o644); err != nil {
			return err
		}
		for _, argv := range [][]string{
			{python, "-m", "venv", venv},
			{venv + "/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", list},
		} {
			if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("cannot install %s: %w: %s", name, err, tail(out, 5))
			}
		}
		return os.WriteFile(venv+".complete", nil, 0o644)
	})
}
