"""The course of a load test: prepare, run blocks, evaluate objectives, and let the rules judge exactly that interval."""
