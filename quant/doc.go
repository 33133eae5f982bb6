// Package quant stores the weights of linear layers in a few bits and multiplies
// with them in integers.
//
// A layer is y = x·Wᵀ; row o of W holds the weights of output feature o. Each row
// is cut into groups of consecutive inputs, 128 as a rule, and a group has one
// scale and, if it is asymmetric, one zero point ([Spec]). Codes are found by
// rounding to nearest ([RTN]), with a search for a clipping range ([ClipSearch]),
// or by [GPTQ], which lets later columns make good the errors of earlier ones.
//
// [MixLLM] gives the rows that matter most for the loss of the whole network more
// bits than the others: [Salience] scores them, [Select] chooses, and a [Layer]
// with rows of several widths multiplies as a [Linear], whose activations are
// 8-bit integers. [Write] and [Read] keep layers in safetensors files.
//
// [PostTraining] quantizes activations too, with ranges that are found once, on
// calibration batches, and stay: an [Affine] has one scale for a tensor or for each
// output channel, a [RangeSearch] finds the best range, an [Observer] follows it over
// batches, and [AdaRound] learns how weights are rounded.
//
// The quantizers compute in float64 and are deterministic.
package quant
