"""One training step traced on meta tensors in a child process, and a replay of the CUDA allocator over it."""
