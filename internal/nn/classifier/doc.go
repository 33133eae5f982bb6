// Package classifier tells digits apart: a small convolutional network on GoMLX,
// which judges whether generated images show what was asked for and in whose
// features distributions of images are compared.
package classifier
