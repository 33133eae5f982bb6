// Package nn trains small networks and keeps them: layouts of parameters in one
// flat vector, a training loop that is deterministic, resumable and safe to kill,
// weights as safetensors files.
//
// A network is a GoMLX graph, compiled as a [Program] and differentiated by
// [GraphGradient], or, where that is too slow, Go around products of package gemm.
package nn
