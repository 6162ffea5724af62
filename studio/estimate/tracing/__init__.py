"""One training step traced on meta tensors in a child process, and the replay of the CUDA allocator over it."""
