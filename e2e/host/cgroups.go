// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupPrefix starts the name of every control group made here; the host's name
// follows, which begins with the number of the process that made it, so that a
// later one knows it as left over (a host named otherwise is looked after by
// whoever named it).
const cgroupPrefix = "dovesnap-host-"

// A hierarchy is one mounted cgroup file system of the machine: the only one
// with version 2, one per controller with version 1, both with "hybrid".
type hierarchy struct {
	point   string // where it is mounted
	options string // version 1: the controllers, as mount(2) takes them
	own     string // directory of this process's group
}

func (h hierarchy) v2() bool { return h.options == "" }

// hierarchies reads the machine's from /proc/self: proc(5), cgroups(7).
func hierarchies() ([]hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	return parseHierarchies(string(mounts), string(groups)), nil
}

func parseHierarchies(mountinfo, cgroup string) []hierarchy {
	own := map[string]string{} // controllers → path of our group
	for lines := bufio.NewScanner(strings.NewReader(cgroup)); lines.Scan(); {
		if f := strings.SplitN(lines.Text(), ":", 3); len(f) == 3 {
			own[f[1]] = f[2]
		}
	}
	var found []hierarchy
	for lines := bufio.NewScanner(strings.NewReader(mountinfo)); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		mounted, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(mounted) < 5 || len(kind) < 3 {
			continue
		}
		h := hierarchy{point: mounted[4]}
		switch kind[0] {
		case "cgroup2":
			// The top, not our own group: a group that holds processes cannot
			// hand controllers down ("no internal processes").
			h.own = h.point
		case "cgroup":
			var options []string
			for _, o := range strings.Split(kind[2], ",") {
				// What is left names the hierarchy, here as in /proc/self/cgroup.
				if o != "rw" && o != "ro" && o != "xattr" && o != "clone_children" && !strings.HasPrefix(o, "release_agent") {
					options = append(options, o)
				}
			}
			h.options = strings.Join(options, ",")
			h.own = filepath.Join(h.point, own[h.options])
		default:
			continue
		}
		if !slices.ContainsFunc(found, func(f hierarchy) bool { return f.options == h.options }) {
			found = append(found, h)
		}
	}
	return found
}

// enterCgroup moves this process into a new group called name in every
// hierarchy, and gives the calling thread a cgroup namespace with it as root.
func enterCgroup(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		dir := filepath.Join(h.own, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cannot create control group: %w", err)
		}
		// cpuset(7): a version 1 group takes no process until both are set.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if value, err := os.ReadFile(filepath.Join(h.own, file)); err == nil && !h.v2() {
				if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
					return fmt.Errorf("cannot set %s of control group: %w", file, err)
				}
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return fmt.Errorf("cannot enter control group %q: %w", dir, err)
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("cannot unshare cgroup namespace: %w", err)
	}
	// Now step one down in version 2, so that the root may hand controllers down.
	for _, h := range all {
		if !h.v2() {
			continue
		}
		dir := filepath.Join(h.own, name)
		if err := os.Mkdir(filepath.Join(dir, "init"), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cannot create control group: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "init", "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return fmt.Errorf("cannot enter control group: %w", err)
		}
		controllers, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		for _, c := range strings.Fields(string(controllers)) {
			// One that the kernel keeps back is one that containers do without.
			_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644)
		}
	}
	return nil
}

// mountCgroups mounts the machine's hierarchies, as this cgroup namespace shows
// them, in the same arrangement under target (/sys/fs/cgroup of a host).
func mountCgroups(target string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if len(all) == 1 && all[0].v2() {
		return mount{"cgroup2", target, "cgroup2", 0, "nsdelegate"}.do()
	}
	if err := (mount{"tmpfs", target, "tmpfs", 0, "mode=755"}).do(); err != nil {
		return err
	}
	for _, h := range all {
		fstype := "cgroup"
		if h.v2() {
			fstype = "cgroup2"
		}
		if err := (mount{fstype, filepath.Join(target, filepath.Base(h.point)), fstype, 0, h.options}).do(); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroup removes the groups called name with all below them. They must
// hold no process any more; a group still held is an error.
func removeCgroup(name string) error {
	groups, err := findCgroups(func(found string) bool { return found == name })
	for _, group := range groups {
		err = errors.Join(err, removeTree(group))
	}
	return err
}

// findCgroups returns the directories of all groups that the machine has under a
// name that wanted accepts. Whoever removes a group may itself be in another one
// than its maker was, so all of the hierarchies are looked through.
func findCgroups(wanted func(name string) bool) (dirs []string, err error) {
	all, err := hierarchies()
	for _, h := range all {
		_ = filepath.WalkDir(h.point, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || !d.IsDir():
				return nil // gone meanwhile, or one of the kernel's files
			case wanted(d.Name()):
				dirs = append(dirs, path)
				return fs.SkipDir
			}
			return nil
		})
	}
	return dirs, err
}

// removeTree removes a group and those below it, deepest first.
func removeTree(group string) error {
	var dirs []string
	_ = filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	var errs []error
	for _, dir := range slices.Backward(dirs) {
		// rmdir(2): os.Remove would try unlink(2) first and report its error.
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("cannot remove control group %q: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}

// sweepCgroups removes what processes left that were killed before they could.
func sweepCgroups() {
	abandoned, _ := findCgroups(func(name string) bool {
		id, ours := strings.CutPrefix(name, cgroupPrefix)
		owner, _, _ := strings.Cut(id, "-")
		pid, err := strconv.Atoi(owner)
		return ours && err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH)
	})
	for _, group := range abandoned {
		_ = removeTree(group) // busy: its processes still end; next time
	}
}

// RemoveCgroups removes the control groups of a host that was given its name,
// which sweeping leaves to whoever named it.
func RemoveCgroups(name string) error { return removeCgroup(cgroupPrefix + name) }
