// Package mixer is a class-conditional denoiser of small gray images: an
// MLP-mixer (Tolstikhin et al. 2021) over patches whose token and channel mixing
// are bilinear gates, with RMS norms modulated by time and label. It predicts the
// velocity on the cosine schedule, and is made of matrix products alone.
package mixer
