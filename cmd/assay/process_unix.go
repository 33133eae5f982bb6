//go:build unix

package main

import (
	"runtime"
	"syscall"
)

// ownGroup keeps a terminal's Ctrl-C from the process: who started it tells it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// lowerPriority lets others go first. The group has all threads of this process.
func lowerPriority() error { return syscall.Setpriority(syscall.PRIO_PGRP, 0, 10) }

// memoryTaken is the most memory that this process has held, in bytes, that of libraries
// outside Go too.
func memoryTaken() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}
