// Package diffusion samples from diffusion models.
//
// The problem is a [Denoiser], a noise [Schedule] and a [Grid] of levels; a
// [Method] is a plain struct whose zero value is its paper's default; [Solve]
// runs it. A method is written once, in the notation of its paper, over symbolic
// registers: tracing it on a grid gives a [Tape], a straight-line program whose
// number of evaluations and buffers are known before it runs, which [Run]
// executes, whole or step by step, in float32 or float64.
package diffusion
