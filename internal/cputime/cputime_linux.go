// Package cputime tells how long a thread has run, which other programs' load
// changes less than the time on the wall.
package cputime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Counts is what Thread measures.
const Counts = "processor time"

// Thread is the time that the calling thread has run. The caller stays on it
// with runtime.LockOSThread.
func Thread() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return time.Since(start)
	}
	return time.Duration(t.Nano())
}

var start = time.Now()
