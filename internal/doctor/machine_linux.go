package doctor

import (
	"golang.org/x/sys/unix"
)

// fileSystem tells of the file system of a directory.
func fileSystem(dir string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Space{}, err
	}
	block := uint64(st.Bsize)
	return Space{
		Free: st.Bavail * block, Total: st.Blocks * block,
		Volatile: st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC,
	}, nil
}

// clockSynchronized asks the kernel, which those who keep the time tell.
func clockSynchronized() (bool, error) {
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	return err == nil && state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0, err
}
