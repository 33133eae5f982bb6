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
func Thread() time.Duration { return clock(unix.CLOCK_THREAD_CPUTIME_ID) }

// Process is the time that all threads of the process have run.
func Process() time.Duration { return clock(unix.CLOCK_PROCESS_CPUTIME_ID) }

func clock(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return time.Since(start)
	}
	return time.Duration(t.Nano())
}

var start = time.Now()
