// Package decoder is a small decoder language model: pre-norm blocks of causal
// attention and a ReLU layer, learned positions, no biases. Forward and backward
// passes are written out as matrix products.
//
// Its linear layers can be looked into (their inputs and the gradients of their
// outputs) and replaced, which is what quantizing them needs.
package decoder
