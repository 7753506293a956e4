#include <torch/csrc/autograd/engine.h>
