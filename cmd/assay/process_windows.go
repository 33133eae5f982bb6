package main

import (
	"runtime/metrics"
	"syscall"

	"golang.org/x/sys/windows"
)

// ownGroup keeps a terminal's Ctrl-C from the process: who started it tells it.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// lowerPriority lets others go first.
func lowerPriority() error {
	return windows.SetPriorityClass(windows.CurrentProcess(), windows.BELOW_NORMAL_PRIORITY_CLASS)
}

// memoryTaken is the memory that Go holds in this process, in bytes.
func memoryTaken() int64 {
	held := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(held)
	return int64(held[0].Value.Uint64() - held[1].Value.Uint64())
}
