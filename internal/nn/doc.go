// Package nn trains small networks on GoMLX: layouts of parameters in one flat
// vector, compiled programs, and a training loop that is deterministic,
// resumable and safe to kill.
package nn
