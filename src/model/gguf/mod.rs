//! GGUF files, llama.cpp's: one file that is a whole model. What it computes, its weights, its tokens and its
//! chat template are read from it alone, whatever lies beside it.

mod metadata;
mod network;
mod tensors;
mod vocabulary;

pub(super) use metadata::Gguf;
